"""Summaries of past days, for series of weeks."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Apply ``0008_reading_summary.sql``."""
    execute_beside(__file__, "0008_reading_summary.sql")
