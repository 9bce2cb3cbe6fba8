"""One file per API: where model, limits and usage stand, and how a refusal looks."""
