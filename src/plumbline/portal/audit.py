"""Entries of the audit log: who did what to what, from where.

The statement is ``audit`` of accounts.sql; it belongs into the transaction of what it tells of.
"""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from plumbline.portal.request_head import RequestHead


def audit_values(  # noqa: PLR0913 - one argument a column
    action: str,
    actor: str,
    via: str,
    head: RequestHead,
    request_id: str | None,
    *,
    target: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the parameters of the statement ``audit``.

    Args:
        action: ``noun.verb``, such as ``command.send``.
        actor: User name, or ``-``.
        via: ``session``, ``token`` or ``none``.
        head: Of the request.
        request_id: Of the request.
        target: What it was done to.
        detail: JSON; no secrets.
    """
    return {
        "actor": actor,
        "via": via,
        "action": action,
        "target": target,
        "address": head.address,
        "request_id": request_id,
        "detail": Jsonb(dict(detail or {})),
    }
