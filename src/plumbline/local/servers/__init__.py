"""PostgreSQL, Redis and Mosquitto as child processes with their own data directories."""
