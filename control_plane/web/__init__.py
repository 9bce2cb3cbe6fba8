"""The desk: pages for people over the same use cases, in the control plane's own process."""
