"""PostgreSQL, Redis and Mosquitto as child processes."""

import psycopg
import redis


def test_smoke(database_url, redis_url, mosquitto):
    with psycopg.connect(database_url) as c:
        print(c.execute("select current_user, version()").fetchall())
    print(mosquitto.add_devices("d1"), mosquitto.server.url, redis_url)
