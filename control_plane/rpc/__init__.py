"""The gRPC edge: decode, call a use case, encode."""
