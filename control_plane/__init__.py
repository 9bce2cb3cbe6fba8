"""Owns projects, keys, budgets and prices, leases spend to sidecars and keeps the ledger."""
