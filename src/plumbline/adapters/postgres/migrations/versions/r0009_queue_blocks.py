"""Messages that were sent together, kept in one row."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Apply ``0009_queue_blocks.sql``."""
    execute_beside(__file__, "0009_queue_blocks.sql")
