"""One file per API family: where model, limits and usage stand, what cannot be bounded, and how a refusal looks."""
