"""Values of Redis at hand: kept until Redis says that they have changed, and not for long."""

KNOWN_FOR_S = 1.0
"""Longest time that a value stays at hand without being read again."""

AGE_EVERY_S = KNOWN_FOR_S / 2

_MOST = 10_000


class KnownValues:
    """Two generations, so that what is much asked for can be read again before it is too old.

    Whoever holds it calls ``age`` every AGE_EVERY_S.
    """

    def __init__(self) -> None:
        self._recent: dict[str, bytes] = {}
        self._ageing: dict[str, bytes] = {}
        self._asked: set[str] = set()

    def get(self, key: str) -> bytes | None:
        """Return the value, or None."""
        return self._recent.get(key) or self._ageing.get(key)

    def wants_reading(self, key: str) -> bool:
        """Tell, once, that a value had better be read again."""
        if key in self._recent or key not in self._ageing or key in self._asked:
            return False
        self._asked.add(key)
        return True

    def keep(self, key: str, value: bytes) -> None:
        """Keep what was read."""
        if len(self._recent) >= _MOST:
            self._recent.clear()
        self._recent[key] = value

    def forget(self, key: str) -> bool:
        """Forget what has changed; tell whether it was at hand."""
        recent, ageing = self._recent.pop(key, None), self._ageing.pop(key, None)
        return not (recent is None and ageing is None)

    def clear(self) -> None:
        """Forget everything."""
        self._recent.clear()
        self._ageing.clear()

    def age(self) -> bool:
        """Forget what was read before the last time; tell whether anything is left."""
        self._ageing, self._recent = self._recent, {}
        self._asked.clear()
        return bool(self._ageing)
