"""What the control plane does, one plain function per request: (tx, command, now) to a value."""
