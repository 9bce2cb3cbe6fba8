"""The pages of the desk, one module per noun: what each reads, and what its forms call."""
