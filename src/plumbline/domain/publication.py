"""One message to publish at the broker, and what became of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """A message for whoever is subscribed, QoS 1, never retained.

    Attributes:
        topic: Without wildcards.
        payload: JSON.
        expires_in_s: After so many seconds the broker delivers it no more, at least 1; None: never.
        response_topic, correlation: For the answer, or None.
    """

    topic: str
    payload: bytes
    expires_in_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(slots=True)
class Published:
    """What the broker tasks said to one publication.

    Attributes:
        taken: Some task has it, with a subscriber there.
        unavailable: Why some task did not take it, although a later attempt may help; or None.
    """

    taken: bool = False
    unavailable: str | None = None
