"""Effects of a sidecar, on trio: admission, journal, control link, server, upstream."""
