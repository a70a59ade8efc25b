"""Hours of the usual load on the whole system, and what grows meanwhile."""
