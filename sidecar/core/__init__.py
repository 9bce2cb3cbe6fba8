"""Pure rules of a sidecar: what may open, what it holds, what it cost."""
