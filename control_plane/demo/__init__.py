"""An agency to look at: three plausible months of twelve clients, made through the real ledger."""
