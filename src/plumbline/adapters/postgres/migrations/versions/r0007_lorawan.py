"""The registry of LoRaWAN devices, and what is kept of their frames."""

from plumbline.adapters.postgres.migrations.sql_file import execute_beside

revision = "0007"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Apply ``0007_lorawan.sql``."""
    execute_beside(__file__, "0007_lorawan.sql")
