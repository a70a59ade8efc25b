"""What becomes of commands, and one on its way for each device."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Apply ``0006_command_events.sql``."""
    execute_beside(__file__, "0006_command_events.sql")
