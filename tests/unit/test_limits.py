"""docs/explanation/limits.md says what the calculation says, and the calculation can be wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import limits

from plumbline.deployment.bill import invocations, monthly_bill
from plumbline.deployment.limits import exceeded
from plumbline.deployment.prices import load_prices
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import Load
from plumbline.topology import TOPOLOGY

_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "limits.md"
FOUND = limits.figures()


def part(name: str) -> limits.Part:
    [found] = [one for one in limits.parts(FOUND) if one.name == name]
    return found


@pytest.mark.parametrize("name", limits.tables())
def test_the_page_has_the_table_as_it_is_reckoned(name: str) -> None:
    assert limits.tables()[name] in _PAGE.read_text("utf-8"), "see `./bench limits`"


@pytest.mark.parametrize("one", limits.parts(FOUND), ids=lambda one: one.name)
@pytest.mark.parametrize("interval_s", limits.INTERVALS_S)
def test_a_part_is_not_beyond_its_limit_there_and_is_soon_after(
    one: limits.Part, interval_s: float
) -> None:
    devices = limits.devices_at(one, interval_s)
    assert one.used(Load(devices, interval_s), Deployment()) <= 1
    assert one.used(Load(round(1.12 * devices), interval_s), Deployment()) > 1


def test_parsing_gives_way_where_the_bill_warns_of_it() -> None:
    """The warning of `plumbline cost` and this page go by the same reckoning."""
    devices = limits.devices_at(part("parsing: one run at a time"), 300)

    def warned(count: int) -> bool:
        return any("parsing" in line for line in exceeded(Load(count, 300), Deployment()))

    assert not warned(devices)
    assert warned(round(1.12 * devices))


def test_what_the_page_says_gives_way_first_does() -> None:
    first, second = sorted(limits.parts(FOUND), key=lambda one: limits.devices_at(one, 60))[:2]
    assert (first.name, second.name) == ("broker: file system", "parsing: one run at a time")
    assert "Parsing comes first, after the file system's throughput" in _PAGE.read_text("utf-8")


def test_what_a_load_needs_is_enough_for_it() -> None:
    for devices in limits.FLEETS:
        for interval_s in limits.INTERVALS_S:
            load = Load(devices, interval_s)
            one = limits.needs(load, FOUND)
            of = replace(
                Deployment(), broker_tasks=one.broker_tasks, broker_vcpu=1.0, broker_gb=2.0
            )
            assert part("broker: connections").used(load, of) <= 1
            assert part("broker: CPU").used(load, of) <= 1
            for name, at_once in (("distributing", one.distributing), ("db1", one.db1)):
                count, each_s = invocations(load, of)[name]
                assert at_once * 730 * 3600 >= count * each_s


def test_a_slower_parsing_lowers_its_limit_and_no_other() -> None:
    slow = replace(Deployment(), lambda_memory_mb={**Deployment().lambda_memory_mb, "parsing": 128})
    for one in limits.parts(FOUND):
        before, after = limits.devices_at(one, 60), limits.devices_at(one, 60, slow)
        if one.name.startswith("parsing"):
            assert after < before
        elif not one.name.startswith("Lambda"):
            assert after == before, one.name


def test_the_requests_of_a_reading_are_those_of_the_bill() -> None:
    load = Load()
    bill = monthly_bill(load, Deployment(), load_prices("us-east-1"))
    requests = sum(item.quantity for item in bill if item.name.endswith("in, out, gone"))
    assert FOUND["measured"]["sqs_requests"]["value"] == round(requests / load.readings, 2)


def test_every_function_of_the_reading_path_and_every_quota_takes_part() -> None:
    names = " ".join(one.name for one in limits.parts(FOUND))
    for name in ("parsing", "distributing", "db1", "sync"):
        assert name in {f.name for f in TOPOLOGY.functions}
        assert name in names
    assert all(one["page"] and one["what"] for one in FOUND["quota"].values())
    assert all(one["command"] and one["what"] for one in FOUND["measured"].values())
