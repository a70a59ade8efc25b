"""Queues."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Apply ``0002_queues.sql``."""
    execute_beside(__file__, "0002_queues.sql")
