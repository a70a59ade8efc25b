"""Reason codes of MQTT 5 that matter to a witness (MQTT 5.0, 2.4)."""

NO_MATCHING_SUBSCRIBERS = 0x10
"""The broker accepted the message, and no session was there to keep it."""

FIRST_REFUSAL = 0x80
"""From here on the broker refused the message."""

# Bad user name or password; not authorised; banned; bad authentication method.
CREDENTIALS_REFUSED = frozenset({0x86, 0x87, 0x8A, 0x8C})
"""Answers to CONNECT that say: not with these credentials."""
