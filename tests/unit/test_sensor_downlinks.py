"""Commands to the vendors' bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.registry import codec_for, decode, models
from plumbline.errors import EXIT_CODES, HTTP_STATUS, UnsupportedCommand, of_type

CASES = Path(__file__).parents[1] / "testcases/codecs"
DOWNLINKS: list[dict[str, Any]] = json.loads((CASES / "downlinks.json").read_text())
VERBS = {"set_interval", "set_threshold", "zero", "reboot", "request_reading", "identify"}


def encode(case: dict[str, Any]) -> Downlink:
    return codec_for(case["model"]).encode(case["command"], case["params"])


def name_of(case: dict[str, Any]) -> str:
    return f"{case['model']}:{case['command']}:{case['bytes_hex']}"


@pytest.mark.parametrize("case", DOWNLINKS, ids=name_of)
def test_a_command_becomes_the_vendors_bytes(case: dict[str, Any]) -> None:
    expected = Downlink(case["f_port"], bytes.fromhex(case["bytes_hex"]), case["confirmed"])
    assert encode(case) == expected


def test_every_command_of_every_model_has_a_case() -> None:
    ours = {case["model"] for case in DOWNLINKS} | set(models())
    offered = {(model, command) for model in ours for command in codec_for(model).commands}
    assert offered == {(case["model"], case["command"]) for case in DOWNLINKS}
    assert {command for _, command in offered} <= VERBS


@pytest.mark.parametrize("model", models())
@pytest.mark.parametrize("command", sorted(VERBS | {"self_destruct", ""}))
def test_a_verb_that_the_vendor_does_not_document_is_refused(model: str, command: str) -> None:
    codec = codec_for(model)
    if command in codec.commands:
        return
    with pytest.raises(UnsupportedCommand, match=f"{model} has no command {command}; it has: "):
        codec.encode(command, {})


@pytest.mark.parametrize("case", DOWNLINKS, ids=name_of)
def test_a_parameter_that_would_be_ignored_is_refused(case: dict[str, Any]) -> None:
    case = {**case, "params": {**case["params"], "colour": "blue"}}
    with pytest.raises(UnsupportedCommand, match="unknown parameter colour"):
        encode(case)


@pytest.mark.parametrize(
    "value", [None, 0, -1, 2**32, True, 300.0, "300", float("nan"), [300], {"s": 300}]
)
@pytest.mark.parametrize(
    "model", [model for model in models() if "set_interval" in codec_for(model).commands]
)
def test_an_interval_beyond_the_devices_limits_is_refused(model: str, value: object) -> None:
    with pytest.raises(UnsupportedCommand, match="interval_s: a whole number"):
        codec_for(model).encode("set_interval", {"interval_s": value})


@pytest.mark.parametrize(
    ("model", "command", "params", "says"),
    [
        ("milesight-em310-tilt", "set_interval", {"interval_s": 64_801}, "1 to 64800"),
        ("milesight-em310-tilt", "set_threshold", {}, "min_deg: a number"),
        ("milesight-em310-tilt", "set_threshold", {"min_deg": 1}, "max_deg: a number"),
        ("milesight-em310-tilt", "set_threshold", {"min_deg": 2, "max_deg": 1}, "above max_deg"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": 181}, "0.0 to 180.0"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": float("nan")}, "a number"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": True}, "a number"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": 1, "max_deg": 2}, "either"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": 1, "axis": "w"}, "x, y, z"),
        ("milesight-em310-tilt", "set_threshold", {"threshold_deg": 1, "axis": 1}, "x, y, z"),
        (
            "milesight-em310-tilt",
            "set_threshold",
            {"threshold_deg": 1, "alarm_times": 3},
            "unknown parameter alarm_times",
        ),
        ("netvox-r718eb", "set_threshold", {"threshold_deg": 5}, "interval_s"),
        ("netvox-r718eb", "set_threshold", {"interval_s": 900}, "threshold_deg"),
        ("netvox-r718eb", "set_threshold", {"interval_s": 900, "threshold_deg": 0.05}, "0.1"),
        ("netvox-r718ea", "set_threshold", {"interval_s": 900, "threshold_deg": 0.5}, "1.0"),
        (
            "netvox-r718eb",
            "set_interval",
            {"interval_s": 900, "temperature_change_c": 1.0},
            "unknown parameter temperature_change_c",
        ),
        ("dingtek-dc413", "set_interval", {"interval_s": 3601}, "whole hours"),
        ("dingtek-dc413", "set_interval", {"interval_s": 169 * 3600}, "to 604800"),
        ("dingtek-dc413", "set_threshold", {"threshold_deg": 14}, "15 to 90"),
        ("dingtek-dc413", "set_threshold", {"threshold_deg": 45.5}, "15 to 90"),
    ],
)
def test_parameters_that_the_device_cannot_take_are_refused(
    model: str, command: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(UnsupportedCommand, match=says):
        codec_for(model).encode(command, params)


def test_an_unsupported_command_is_the_callers_fault() -> None:
    error = UnsupportedCommand("x")
    assert of_type(HTTP_STATUS, error) == 422
    assert of_type(EXIT_CODES, error) == 1


@pytest.mark.parametrize(
    "case", [case for case in DOWNLINKS if case["model"].startswith("milesight")], ids=name_of
)
def test_milesights_answer_reads_as_the_command(case: dict[str, Any]) -> None:
    """The device answers with the same record; its own names and units come back."""
    names = {"interval_s": "report_interval_s"}
    fields = decode(case["model"], case["f_port"], encode(case).payload).fields
    for name, value in case["params"].items():
        if name != "threshold_deg":
            assert fields[names.get(name, name)] == value


def test_decentlabs_commands_can_be_read_back() -> None:
    for interval_s in (1, 600, 65_535):
        downlink = codec_for("decentlab-dl-atm22").encode(
            "set_interval", {"interval_s": interval_s}
        )
        fields = decode("decentlab-any", downlink.f_port, downlink.payload).fields
        assert fields == {"command": "set_period_and_save", "period_s": interval_s}


@pytest.mark.parametrize(
    ("model", "angle_deg"), [("netvox-r718eb", 0.3), ("netvox-r718eb", 180.0), ("netvox-r718ea", 7)]
)
def test_netvox_reads_its_settings_back_in_the_same_bytes(model: str, angle_deg: float) -> None:
    """The answer to "read" has the layout of the request, with another first byte."""
    params = {"interval_s": 1200, "angle_change_deg": angle_deg, "battery_change_v": 0.2}
    request = codec_for(model).encode("set_interval", params).payload
    fields = decode(model, 7, b"\x82" + request[1:]).fields
    assert fields["min_interval_s"] == fields["max_interval_s"] == 1200
    assert fields["angle_change_deg"] == angle_deg
    assert fields["battery_change_v"] == 0.2
