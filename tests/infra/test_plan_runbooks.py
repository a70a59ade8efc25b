"""Every alarm leads to its runbook, and what the runbooks name is what Terraform makes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documented_commands import DEPLOY, ROOT, RUNBOOKS, commands, lines
from infra.deployment_plan import Plan

pytestmark = pytest.mark.terraform

PREFIX = "tilt-sensor-lab"
_ROW = re.compile(r"^\| `([a-z-]+)(…?)` \| .* \| \[[^]]+\]\(([^)]*)\) \|$", re.MULTILINE)
# Snapshots and clusters of the procedures themselves.
_MADE_BY_HAND = re.compile(r"-(last|kept|new|old)(-\d)?$")
_NAME = re.compile(rf"[\w./-]*{PREFIX}[\w./-]*")


def alarms(lab: Plan) -> dict[str, str]:
    """Return the page that each alarm's description names, by the alarm."""
    found = {}
    for alarm in lab.of("aws_cloudwatch_metric_alarm"):
        description = str(alarm["alarm_description"])
        [page] = re.findall(r"See (docs/[\w/-]+\.md)\.$", description)
        found[str(alarm["alarm_name"]).removeprefix(f"alarm-{PREFIX}-")] = page
    return found


def test_the_page_that_an_alarm_names_exists_and_names_the_alarm(lab: Plan) -> None:
    index = ROOT / "docs" / "runbooks" / "alarms.md"
    rows = {
        (name, bool(more)): index if link.startswith("#") else index.parent / link
        for name, more, link in _ROW.findall(index.read_text("utf-8"))
    }
    matched = set()
    for alarm, page in alarms(lab).items():
        found = [
            (name, more)
            for name, more in rows
            if alarm == name or (more and alarm.startswith(name))
        ]
        assert len(found) == 1, f"{alarm} is in {len(found)} rows of {index.name}"
        row = found[0]
        matched.add(row)
        assert rows[row] == ROOT / page, alarm
        name, more = row
        assert f"`{name}{'…' if more else ''}`" in (ROOT / page).read_text("utf-8"), alarm
    assert matched == rows.keys(), "an alarm that nobody makes"


def test_no_page_is_left_that_nothing_leads_to(lab: Plan) -> None:
    led_to = {ROOT / page for page in alarms(lab).values()}
    index = (ROOT / "docs" / "runbooks" / "alarms.md").read_text("utf-8")
    led_to |= {page for page in RUNBOOKS if f"({page.name})" in index}
    assert set(RUNBOOKS) == led_to


@pytest.mark.parametrize("page", [DEPLOY, *RUNBOOKS], ids=lambda page: page.stem)
def test_what_a_command_names_is_made_by_terraform(page: Path, lab: Plan) -> None:
    made = {text for resource in lab.resources.values() for text in texts(resource.values)}
    for name in sorted(named(page)):
        whole = not name.endswith("-")
        assert any(one == name if whole else one.startswith(name) for one in made), name


def named(page: Path) -> Iterator[str]:
    """Yield the names with the deployment's prefix; a hyphen at the end leaves the rest open."""
    for line in lines(page):
        for command in commands(line.replace("$PREFIX", PREFIX)):
            for word in command:
                for name in _NAME.findall(word):
                    if not _MADE_BY_HAND.search(name):
                        yield name


def texts(values: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a plan holds
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from texts(value)
    elif isinstance(values, list):
        for value in values:
            yield from texts(value)
