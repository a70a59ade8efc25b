"""`./prove soak`, for less than a minute: with leaks, so that it has something to notice."""

from pathlib import Path

from proofs.soak.run import Load, run_soak

# 800 readings a second: what keeps each of them grows by some MB in half a minute.
_LOAD = Load(
    hours=0.4,
    readings=4_000,
    every_s=300,
    devices=300,
    seed="e2e",
    pace=60,
    leaks=("messages", "files"),
)


def test_the_soak_notices_what_grows_and_nothing_else(tmp_path: Path) -> None:
    report = run_soak(_LOAD, tmp_path, print)
    # A queue that a busy machine works off slowly is no leak.
    grown = {one.series for one in report.drifts if one.exceeded and "waiting" not in one.series}
    assert grown == {"pipeline.own_mb", "ingestion.files"}
    # Nothing else is wrong: nothing lost, doubled or restarted, and no answer but 200.
    assert all("grows" in one for one in report.wrong), report.wrong
    assert report.truth.acknowledged > 15_000
    assert report.commands > 3
    # Everything was looked at, all the time.
    parts = ("supervisor", "ingestion", "pipeline", "portal", "postgres", "redis", "mosquitto")
    for part in parts:
        assert min(report.samples.series[f"{part}.pss_mb"]) > 0, part
    assert report.samples.series["mosquitto.sockets"][-1] > _LOAD.devices
    rows = (tmp_path / "samples.csv").read_text().splitlines()
    assert len(rows) == 1 + len(report.samples.elapsed_s) > 20
    assert (tmp_path / "plot.svg").stat().st_size > 10_000
