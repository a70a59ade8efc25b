"""`plumbline decode`."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from plumbline.cli.decode import decode
from plumbline.codecs.sensors.registry import codec_for, models
from plumbline.codecs.sensors.registry import decode as decode_frame
from plumbline.errors import EXIT_CODES, InvalidPayload, NotFound, PlumblineError, of_type

REFERENCE = Path(__file__).parents[2] / "docs/reference/sensors"
CASES = Path(__file__).parents[1] / "testcases/codecs"
VECTORS: list[dict[str, Any]] = json.loads((CASES / "vendor_vectors.json").read_text())
FRAMES: list[dict[str, Any]] = json.loads((CASES / "frames.json").read_text())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(decode, arguments, standalone_mode=False)


def exit_code(result: Result) -> int:
    """Return what `plumbline` exits with, which translates the errors of its commands."""
    if isinstance(result.exception, click.ClickException):
        return result.exception.exit_code
    assert isinstance(result.exception, PlumblineError | None)
    return 0 if result.exception is None else of_type(EXIT_CODES, result.exception)


def test_json_has_the_fields_of_the_vectors_and_the_angle() -> None:
    result = run("--model", "milesight-em310-tilt", "--port", "85", "--json", "017564")
    assert json.loads(result.output) == {"tilt_angle_deg": None, "battery_pct": 100}
    for vector in VECTORS:
        frame = ("--model", vector["device"], "--port", str(vector["f_port"]), vector["bytes_hex"])
        said = json.loads(run(*frame, "--json").output)
        assert set(vector["expected"]) <= set(said)
        assert "tilt_angle_deg" in said


def test_the_port_is_the_vendors_where_none_is_given() -> None:
    assert exit_code(run("--model", "netvox-r718eb", "01c8012400ce00a6ffa600")) == 0
    assert exit_code(run("--model", "netvox-r718eb", "--port", "8", "01c8012400ce00a6ffa600")) == 1


def test_text_is_one_line_a_field() -> None:
    result = run("--model", "radiobridge-rbs301-tilt", "1B 0A 02 38")
    assert result.output.splitlines() == [
        "tilt_angle_deg          56",
        "protocol                1",
        "counter                 11",
        "event                   change_toward_vertical",
        "tilt_from_vertical_deg  56",
    ]


def test_a_frame_without_an_angle_says_why_on_stderr() -> None:
    result = run("--model", "milesight-em310-tilt", "01:75:64")
    assert result.stderr == "no tilt angle: no record of angles (03 cf)\n"
    assert "no tilt angle" not in result.stdout


def test_a_frame_that_cannot_be_decoded_exits_1_with_the_reason() -> None:
    result = run("--model", "milesight-em310-tilt", "03d4000001005046")
    assert isinstance(result.exception, InvalidPayload)
    assert exit_code(result) == 1
    assert str(result.exception) == ("invalid_frame: record 03d4 at byte 0 is none of this model")


def test_an_unknown_model_exits_2() -> None:
    result = run("--model", "acme-unknown", "00")
    assert isinstance(result.exception, NotFound)
    assert exit_code(result) == 2
    assert "acme-unknown" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "elsys-ems", "0g"),
        ("--model", "elsys-ems", "012"),
        ("--model", "elsys-ems", "１２"),
        ("--model", "elsys-ems", "--port", "0", "01"),
        ("--model", "elsys-ems", "--port", "224", "01"),
        ("--model", "elsys-ems"),
        ("01",),
    ],
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    assert exit_code(run(*arguments)) == 2


def test_models_are_listed() -> None:
    assert run("--models").output.split() == models()


@pytest.mark.parametrize("model", models())
def test_the_models_page_says_what_the_codec_does(model: str) -> None:
    """Its example prints what it shows; it names every field of it and every command."""
    page = (REFERENCE / f"{model}.md").read_text()
    [(command, shown)] = re.findall(
        r"```console\n\$ plumbline decode (.*?)\n(.*?)```", page, re.DOTALL
    )
    result = run(*shlex.split(command))
    assert result.stdout + result.stderr == shown
    cases = [case for case in VECTORS + FRAMES if model in (case.get("device"), case.get("model"))]
    for case in cases:
        sample = decode_frame(model, case["f_port"], bytes.fromhex(case["bytes_hex"]))
        assert [name for name in sample.fields if f"`{name}`" not in page] == []
    commands = re.findall(r"^\| `(\w+)` \| `\{", page, re.MULTILINE)
    assert sorted(set(commands)) == sorted(codec_for(model).commands)


def test_every_page_is_of_a_model_and_in_the_index() -> None:
    index = (REFERENCE / "index.md").read_text()
    assert {page.stem for page in REFERENCE.glob("*.md")} == {"index", *models()}
    for model in models():
        assert f"({model}.md)" in index
