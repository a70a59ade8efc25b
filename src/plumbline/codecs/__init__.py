"""Bytes and JSON to domain objects and back: pure."""
