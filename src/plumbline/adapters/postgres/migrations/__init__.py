"""Schema migrations; Alembic runs them."""
