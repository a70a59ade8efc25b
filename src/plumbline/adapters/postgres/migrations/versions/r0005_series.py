"""An index that holds what a series needs."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Apply ``0005_series.sql``."""
    execute_beside(__file__, "0005_series.sql")
