"""Topics made of what an operator has registered."""

import re

from plumbline.errors import InvalidMessage

_LEVEL = re.compile(r"[^/+#\0\s]{1,100}")


def level(text: str) -> str:
    """Return the text, which stands for one level of a topic.

    Raises:
        InvalidMessage: It would be several levels, a wildcard, or nothing.
    """
    if not _LEVEL.fullmatch(text):
        msg = f"{text!r} cannot stand in a topic"
        raise InvalidMessage(msg)
    return text
