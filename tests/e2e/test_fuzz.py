"""`./prove fuzz` over MQTT, in the size that a run of all tests has time for."""

import secrets

import pytest
from proofs.fuzz.over_mqtt import fuzz_over_mqtt


@pytest.mark.timeout(900)
def test_a_system_stores_and_quarantines_what_was_said_before_of_any_payload() -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    report = fuzz_over_mqtt(seed, 3_000, print)
    assert report.wrong == []
    assert report.acknowledged == 3_000
    assert report.account["stored"] > 300
    assert report.account["quarantined"] > 1_000
