"""One module a revision; each executes the SQL file beside it."""
