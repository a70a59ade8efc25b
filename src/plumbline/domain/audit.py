"""Who did what to what, from where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the audit log.

    Attributes:
        actor: User name, or ``cli:`` and the operator's name on the machine.
        via: ``session``, ``token`` or ``cli``.
        action: ``noun.verb``, such as ``command.send``.
        target: What it was done to.
        detail: JSON values; no secrets.
        address, request_id: Of the request, where there is one.
    """

    actor: str
    via: str
    action: str
    target: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None
    request_id: str | None = None
