"""Brings the database to this version: schema, roles and their privileges; invoked by hand."""

from typing import Any

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger

_log = logger("migrate")


@_log.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Apply what is missing; safe to repeat.

    Raises:
        StoreUnavailable: The database cannot be reached; nothing is half done.
        ConfigurationError: Its schema is of a newer version, or the user may not make roles.
    """
    report = bootstrap.migrate_database()
    _log.info("database_migrated", extra=report)
    return report
