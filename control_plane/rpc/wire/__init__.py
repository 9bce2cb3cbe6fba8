"""Admin messages and core values, in pairs, one module per noun."""
