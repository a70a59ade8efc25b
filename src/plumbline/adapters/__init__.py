"""The ports' implementations: MQTT, SQS, PostgreSQL, Redis."""
