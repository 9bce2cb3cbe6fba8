"""Pure decisions: leases, ledger, windows, budgets, prices; values in, values out."""
