"""Checkov's findings, offline: none without a written reason beside the resource."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from locked_environment import ensure_environment

# File, resource and check.
Finding = tuple[str, str, str]

_RESOURCE = re.compile(r'^resource "(\w+)" "(\w+)"')
_EXCUSE = re.compile(r"^  # checkov:skip=(CKV2?_AWS_\d+): (\S.{9,})$")


def excuses(configuration: Path) -> dict[Finding, str]:
    """Return the written reasons."""
    found: dict[Finding, str] = {}
    for file in sorted(configuration.rglob("*.tf")):
        resource = ""
        for line in file.read_text("utf-8").splitlines():
            if begins := _RESOURCE.match(line):
                resource = ".".join(begins.groups())
            elif excuse := _EXCUSE.match(line):
                name = file.relative_to(configuration).as_posix()
                found[name, resource, excuse[1]] = excuse[2]
            else:
                assert "checkov:" not in line, line
    return found


def findings(configuration: Path) -> Iterator[Finding]:
    """Run Checkov without network, and without regard to the written reasons."""
    python = ensure_environment("checkov")
    done = subprocess.run(
        [
            str(python.with_name("checkov")),
            *("--directory", str(configuration), "--framework", "terraform"),
            *("--skip-download", "--quiet", "--compact", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 300
    for failed in report["results"]["failed_checks"]:
        resource = re.sub(r"\[.*\]$", "", failed["resource"]).split(".")[-2:]
        yield failed["file_path"].lstrip("/"), ".".join(resource), failed["check_id"]


def test_nothing_is_found_that_has_no_reason_and_no_reason_is_without_a_finding(
    configuration: Path, tmp_path: Path
) -> None:
    written = excuses(configuration)
    copy = tmp_path / "terraform"
    shutil.copytree(configuration, copy, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    for file in copy.rglob("*.tf"):
        file.write_text(file.read_text("utf-8").replace("checkov:skip=", "was "), "utf-8")
    assert set(findings(copy)) == written.keys()
