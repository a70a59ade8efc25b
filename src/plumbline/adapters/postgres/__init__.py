"""PostgreSQL: queues, readings, ledger, quarantine, device registry, schema."""
