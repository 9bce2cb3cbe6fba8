"""Values that every room shares: money, ids, key texts, quantities, rates, selectors, errors."""
