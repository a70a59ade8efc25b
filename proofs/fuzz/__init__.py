"""Damaged and made-up payloads for everything that reads what comes from outside."""
