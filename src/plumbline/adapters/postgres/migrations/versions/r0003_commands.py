"""Commands."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Apply ``0003_commands.sql``."""
    execute_beside(__file__, "0003_commands.sql")
