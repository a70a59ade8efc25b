"""Password hashes: argon2id."""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's least memory for argon2id: 19 MiB, two passes, one lane; about 20 ms of one core. More
# would let a crowd that signs in at once stop everything else on a small machine.
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1


class Argon2Hasher:
    """See ``ports.PasswordHasher``; safe for several threads, which it lets run meanwhile.

    The same characters are the same password however a keyboard composes them (NFKC).
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES
        )

    def hash(self, password: str) -> str:
        """Return the hash, with its salt and parameters."""
        return self._hasher.hash(_bytes(password))

    def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether it is the hash of the password; False for a hash that is none."""
        try:
            return self._hasher.verify(password_hash, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()
