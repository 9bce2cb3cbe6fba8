"""Bytes in, values out: HTTP messages, headers, event streams, strict JSON, routes and the pool's plan."""
