"""`./prove chaos`, in the size that a run of all tests has time for."""

import secrets

import pytest
from proofs.chaos.run import Scale, run_chaos


@pytest.mark.timeout(900)
def test_50_kills_over_50_000_messages_lose_double_reorder_and_hide_nothing() -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    report = run_chaos(Scale(devices=200, messages=50_000, kills=50, seed=seed), print)
    assert report.wrong == []
    assert report.struck.total() >= 70
    assert report.commands > 20
    assert report.account["stored"] > 50_000
