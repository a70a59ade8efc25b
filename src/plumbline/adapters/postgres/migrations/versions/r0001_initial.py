"""Readings, device status, quarantine and ledger."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Apply ``0001_initial.sql``."""
    execute_beside(__file__, "0001_initial.sql")
