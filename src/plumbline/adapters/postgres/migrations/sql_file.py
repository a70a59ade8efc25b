"""Executes the SQL file that belongs to a revision."""

from pathlib import Path

from alembic import op


def execute_beside(module_file: str, sql_file: str) -> None:
    """Execute all statements of ``sql_file``, which lies beside ``module_file``."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        msg = "the migration has lost its connection"
        raise RuntimeError(msg)
    # The driver itself, without parameters: several statements, and a bare % is a per cent sign.
    connection.execute(Path(module_file).with_name(sql_file).read_text("utf-8"))
