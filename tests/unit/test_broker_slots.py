"""Which slot a broker task gets."""

import os
from pathlib import Path

import pytest

from plumbline.broker.health import FRESH_S, HEALTH_FILE, main
from plumbline.broker.slots import Slot, count_orphans


def claim(data_dir: Path, count: int = 2) -> Slot | None:
    """Claim without waiting."""
    return Slot.claim(data_dir, count, lambda _: True)


def test_two_tasks_never_have_the_same_slot(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    assert first is not None
    assert second is not None
    assert {first.number, second.number} == {0, 1}
    assert claim(tmp_path) is None
    first.release()
    third = claim(tmp_path)
    assert third is not None
    assert third.number == first.number
    assert third.used


def test_a_slot_that_may_hold_messages_goes_first(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    assert first is not None
    assert second is not None
    first.mark_drained()
    first.release()
    second.release()
    assert count_orphans(tmp_path, 2) == 1
    third = claim(tmp_path)
    assert third is not None
    assert third.number == second.number
    assert count_orphans(tmp_path, 2) == 0
    fourth = claim(tmp_path)
    assert fourth is not None
    fourth.release()
    assert count_orphans(tmp_path, 2) == 1, "its note was for the time until it was claimed"


def test_who_inherits_the_descriptor_holds_the_slot(tmp_path: Path) -> None:
    """Mosquitto does: nobody else may open its files while it still writes them."""
    slot = claim(tmp_path, 1)
    assert slot is not None
    inherited = os.dup(slot.descriptor)
    slot.release()
    assert claim(tmp_path, 1) is None
    os.close(inherited)
    assert claim(tmp_path, 1) is not None


def test_a_task_waits_for_a_slot_and_takes_it(tmp_path: Path) -> None:
    first = claim(tmp_path, 1)
    assert first is not None

    def release_at_the_second_wait(_: float) -> bool:
        waits.append(1)
        if len(waits) == 2:
            first.release()
        return False

    waits: list[int] = []
    second = Slot.claim(tmp_path, 1, release_at_the_second_wait)
    assert second is not None
    assert len(waits) == 2


def test_health_is_a_fresh_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_RUN_DIR", str(tmp_path))
    assert main() == 1
    note = tmp_path / HEALTH_FILE
    note.touch()
    assert main() == 0
    old = note.stat().st_mtime - FRESH_S - 1
    os.utime(note, (old, old))
    assert main() == 1
