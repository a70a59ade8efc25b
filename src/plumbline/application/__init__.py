"""One module a use case; each knows ports, never adapters."""
