"""What others publish about prices, read exactly into our kinds, tiers and variants."""
