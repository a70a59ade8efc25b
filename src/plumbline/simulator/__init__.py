"""Simulated devices with a known truth, and the proof that the truth was stored.

`fleet.run_simulation` publishes as many devices as real MQTT connections and writes down, outside
the system, what it sent and what the broker acknowledged; `verify.verify` holds that against the
database. Nothing here uses the system's own adapters or use cases: a witness must not share them.
"""
