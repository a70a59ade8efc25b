"""Every error that Plumbline raises on purpose, and what its type decides.

::

    PlumblineError
    ├── PermanentError            never retried: quarantine or dead-letter queue
    │   ├── InvalidPayload        a device's message cannot be read (carries a Reason)
    │   ├── InvalidMessage        a queue message cannot be read or has an unknown type
    │   ├── InvalidCommand        nobody can be told that, or not for so long
    │   ├── UnsupportedCommand    the device's codec cannot encode the command
    │   ├── LastAdmin             the portal would be left without an admin
    │   ├── Conflict              the present state does not allow it
    │   ├── KeyReused             an idempotency key was used for another request
    │   ├── NotFound              the named device, queue or entry does not exist
    │   └── PackagingFailed       what AWS should run cannot be built, or is too large for it
    ├── TransientError            retried
    │   ├── BrokerUnavailable
    │   ├── QueueUnavailable
    │   ├── StoreUnavailable
    │   ├── CacheUnavailable
    │   ├── FunctionUnavailable   the function that runs commands inside the VPC
    │   └── AlreadyRunning        another run of a single-run function holds the lock
    └── ConfigurationError        refuse to start, naming the setting

The type alone decides about a retry; `EXIT_CODES` and `HTTP_STATUS` are the only other
translations.
"""

from typing import Self

from plumbline.domain.reason import Reason

_DETAIL_LENGTH = 300


class PlumblineError(Exception):
    """Base of all errors raised on purpose."""


class PermanentError(PlumblineError):
    """Trying again cannot help."""


class InvalidPayload(PermanentError):
    """A message of a device cannot be read.

    Args:
        reason: One code of the closed list.
        detail: One line for people, without the payload itself; cut to 300 characters.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = detail[:_DETAIL_LENGTH]
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

    def as_result(self) -> Self:
        """Forget where it was raised: by its frames it would hold on to all that was read there."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class InvalidMessage(PermanentError):
    """A queue message cannot be read, or its type is unknown."""


class InvalidCommand(PermanentError):
    """Nobody can be told that, or not for so long; the message says what is wrong."""


class UnsupportedCommand(PermanentError):
    """The device's codec does not define the command, or not with these parameters."""


class LastAdmin(PermanentError):
    """The portal would be left without an admin who may sign in."""


class Conflict(PermanentError):
    """The present state of what is named does not allow it."""


class KeyReused(PermanentError):
    """The caller has used the idempotency key for another request."""


class NotFound(PermanentError):
    """The named device, queue or entry does not exist."""


class PackagingFailed(PermanentError):
    """What AWS should run cannot be built, or is larger than AWS takes."""


class TransientError(PlumblineError):
    """Trying again later can help."""


class BrokerUnavailable(TransientError):
    """The broker cannot be reached, refused us, or closed the connection."""


class QueueUnavailable(TransientError):
    """The queue service cannot be reached or answered with a server error."""


class StoreUnavailable(TransientError):
    """The database cannot be reached, is starting, or is shutting down."""


class CacheUnavailable(TransientError):
    """The cache cannot be reached."""


class FunctionUnavailable(TransientError):
    """The function that runs commands inside the VPC cannot be invoked, or failed."""


class AlreadyRunning(TransientError):
    """Another run of a function that must run alone holds its lock."""


class ConfigurationError(PlumblineError):
    """A setting is missing or wrong; the message names it."""


# Exit codes of the command line: 0 ok, 1 a check failed, 2 usage or configuration.
EXIT_CODES: dict[type[PlumblineError], int] = {
    ConfigurationError: 2,
    NotFound: 2,
    PermanentError: 1,
    TransientError: 1,
    PlumblineError: 1,
}

HTTP_STATUS: dict[type[PlumblineError], int] = {
    NotFound: 404,
    Conflict: 409,
    PermanentError: 422,
    TransientError: 503,
    PlumblineError: 500,
}


def of_type(table: dict[type[PlumblineError], int], error: PlumblineError) -> int:
    """Return the table's entry for the error's nearest class."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)
