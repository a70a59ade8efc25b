"""What a queue accepts: the rules of SQS, which every queue here keeps.

A message that breaks them is refused before anything is sent: SQS would answer some of these with
an error for the whole request, which says nothing of the request's other messages.
"""

import re
from collections.abc import Sequence

from plumbline.ports import OutgoingMessage, SendFailure

MAX_MESSAGE_BYTES = 262_144
MAX_ATTRIBUTES = 10
HELD = "Held"
"""Code of a message held back behind a failed one of its group."""

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_TYPE_BYTES = len("String")
_UTF8_MAX_BYTES = 4
_MAX_TEXTS = 1 + 2 * MAX_ATTRIBUTES
_SURELY_SHORT = (MAX_MESSAGE_BYTES - MAX_ATTRIBUTES * _ATTRIBUTE_TYPE_BYTES) // _UTF8_MAX_BYTES


def screen(
    messages: Sequence[OutgoingMessage], *, fifo: bool
) -> tuple[list[int], list[SendFailure]]:
    """Return the indices of what may be sent, and the failures of the rest.

    On a FIFO queue what follows a refused message in its group is held back.
    """
    if _all_plain(messages, fifo=fifo):
        return list(range(len(messages))), []
    accepted: list[int] = []
    failures: list[SendFailure] = []
    held: set[str | None] = set()
    for index, message in enumerate(messages):
        if fifo and message.group_id in held:
            failures.append(hold(index))
        elif (fault := _fault(message, fifo=fifo)) is None:
            accepted.append(index)
        else:
            failures.append(SendFailure(index, *fault, sender_fault=True))
            held.add(message.group_id)
    return accepted, failures


def _all_plain(messages: Sequence[OutgoingMessage], *, fifo: bool) -> bool:
    """Tell, of all at once, whether none has a fault; where this says no, each is looked at."""
    attributes = [message.attributes for message in messages]
    names = set[str]().union(*attributes)
    texts = [message.body for message in messages]
    texts += [value for each in attributes for value in each.values()]
    texts += names
    return (
        all(texts)
        and len(names) <= MAX_ATTRIBUTES
        and len(max(texts, key=len, default="")) <= _SURELY_SHORT // _MAX_TEXTS
        and "".join(texts).isprintable()
        and (not fifo or all(message.group_id and message.deduplication_id for message in messages))
    )


def hold(index: int) -> SendFailure:
    """Return the failure of a message held back behind a failed one of its group."""
    return SendFailure(index, HELD, "an earlier message of its group failed", sender_fault=False)


def size_bytes(message: OutgoingMessage) -> int:
    """Return what counts towards SQS's limits: body, attributes' names, types and values."""
    return _utf8_bytes(message.body) + sum(
        _utf8_bytes(name) + _ATTRIBUTE_TYPE_BYTES + _utf8_bytes(value)
        for name, value in message.attributes.items()
    )


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _fault(message: OutgoingMessage, *, fifo: bool) -> tuple[str, str] | None:
    if fifo and not (message.group_id and message.deduplication_id):
        return "MissingParameter", "a FIFO message needs a group id and a deduplication id"
    texts = (message.body, *message.attributes, *message.attributes.values())
    if not all(texts):
        return "MissingParameter", "the body, or an attribute's name or value, is empty"
    if len(message.attributes) > MAX_ATTRIBUTES:
        return "InvalidParameterValue", f"more than {MAX_ATTRIBUTES} attributes"
    # Printable text has no forbidden character, and is told much faster.
    if any(not text.isprintable() and _FORBIDDEN.search(text) for text in texts):
        return "InvalidMessageContents", "a character that SQS does not allow"
    # Most are so short that they need no counting.
    if sum(map(len, texts)) > _SURELY_SHORT and size_bytes(message) > MAX_MESSAGE_BYTES:
        return "InvalidParameterValue", f"longer than {MAX_MESSAGE_BYTES} bytes"
    return None
