"""Users, sessions, API tokens, audit log."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Apply ``0004_accounts.sql``."""
    execute_beside(__file__, "0004_accounts.sql")
