"""HTTP without sockets: messages, headers, event streams, strict JSON, routes, the pool's plan."""
