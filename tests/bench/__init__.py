"""The benchmark: the sidecar beside a bare h11-on-trio pass-through, on one pinned core."""
