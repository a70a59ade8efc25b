"""Which faults `./prove chaos` draws from its seed."""

import pytest
from proofs.chaos.plan import EVERYTHING, PARTS, PROCESSES, Kind, plan_faults


def test_the_same_seed_strikes_the_same_at_the_same_moments() -> None:
    assert plan_faults("one", 50) == plan_faults("one", 50)
    assert plan_faults("one", 50) != plan_faults("another", 50)


def test_every_part_is_killed_and_every_kind_of_fault_takes_part() -> None:
    faults = plan_faults("one", 50)
    killed = [fault.part for fault in faults if fault.kind is Kind.KILL]
    assert len(killed) == 50
    assert set(killed) == {*PROCESSES, EVERYTHING}
    assert {fault.kind for fault in faults} == set(Kind)
    assert faults == sorted(faults, key=lambda fault: fault.at)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("queues", Kind.REFUSED),
        ("cache", Kind.EMPTIED),
        ("clock", Kind.JUMP),
        ("disks", Kind.FULL),
    ],
)
def test_what_is_spared_is_left_alone(part: str, kind: Kind) -> None:
    faults = plan_faults("one", 50, tuple(one for one in PARTS if one != part))
    assert {fault.kind for fault in faults} == set(Kind) - {kind}


def test_a_process_that_is_spared_dies_with_nothing() -> None:
    faults = plan_faults("one", 50, tuple(one for one in PARTS if one != "mosquitto"))
    struck = {fault.part for fault in faults if fault.kind in {Kind.KILL, Kind.STALL}}
    assert struck == set(PROCESSES) - {"mosquitto"}
