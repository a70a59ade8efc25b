"""Every vector of every vendor, and what is no frame of the model."""

import itertools
import json
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from plumbline.codecs.sensors.registry import GROUP, codec_for, decode
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

CASES = Path(__file__).parents[1] / "testcases/codecs"
OURS = sorted(
    point.name for point in distribution("plumbline").entry_points if point.group == GROUP
)


def package(model: str) -> Any:  # noqa: ANN401 - a Traversable, whose module moves with the version
    return files("plumbline.codecs.sensors").joinpath(model.replace("-", "_"))


def load(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((CASES / name).read_text())
    return cases


def vectors_of(model: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads(package(model).joinpath("vectors.json").read_text())
    return vectors


VECTORS = [vector for model in OURS for vector in vectors_of(model)]
UPLINKS = [vector for vector in VECTORS if vector["direction"] == "up"]


def name_of(case: dict[str, Any]) -> str:
    return f"{case['device']}:{case['bytes_hex']}"


def sample_of(case: dict[str, Any]) -> Sample:
    return decode(case["device"], case["f_port"], bytes.fromhex(case["bytes_hex"]))


def is_frame(model: str, f_port: int, payload: bytes) -> bool:
    try:
        decode(model, f_port, payload)
    except InvalidPayload:
        return False
    return True


def approximately(expected: Any, tolerance: float) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(expected, float):
        return pytest.approx(expected, abs=tolerance)
    if isinstance(expected, list):
        return [approximately(item, tolerance) for item in expected]
    if isinstance(expected, dict):
        return {name: approximately(value, tolerance) for name, value in expected.items()}
    return expected


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_vector(vector: dict[str, Any]) -> None:
    """A command's vector is read too: devices answer with it, or share its frame."""
    fields = sample_of(vector).fields
    tolerance = vector.get("tolerance", 0.0)
    for name, expected in vector["expected"].items():
        assert fields[name] == approximately(expected, tolerance), name


def test_every_vector_of_the_vendors_is_in_a_codecs_folder() -> None:
    def key(vector: dict[str, Any]) -> str:
        return json.dumps(vector, sort_keys=True)

    assert sorted(map(key, VECTORS)) == sorted(map(key, load("vendor_vectors.json")))


@pytest.mark.parametrize("case", load("frames.json"), ids=lambda case: case["name"])
def test_frame(case: dict[str, Any]) -> None:
    sample = decode(case["model"], case["f_port"], bytes.fromhex(case["bytes_hex"]))
    assert sample.tilt_angle_deg == case["tilt_angle_deg"]
    assert sample.status.value == case["status"]
    assert {name: sample.fields[name] for name in case["fields"]} == case["fields"]


@pytest.mark.parametrize("case", load("refusals.json"), ids=lambda case: case["name"])
def test_refusal(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        decode(case["model"], case["f_port"], bytes.fromhex(case["bytes_hex"]))
    assert refusal.value.reason.value == case["reason"]
    assert case["says"] in refusal.value.detail


# Where a shorter frame is a whole frame too: at the end of a record, or without optional bytes.
WHOLE_WHEN_CUT = {
    "milesight-em320-tilt:01756403d4000001005046": {3},
    "milesight-em320-tilt:01756403d498fd44ff6b22": {3},
    "milesight-em320-tilt:ff0bffff0101ff166785c38144050018ff090110ff0a0101ff0f00": {
        3,
        6,
        16,
        20,
        24,
    },
    "elsys-elt-2:0100e20229030127051406010111": {3, 5, 9},
    "elsys-ems:0100e20229030127050a110112110a2111": {3, 5, 9, 12, 14},
    "elsys-ems-desk:0100e20229030127051102": {3, 5, 9},
    "dragino-lgt92:015a785406cf33d80d2060004b0190": {11},
}


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_a_frame_cut_short_is_refused(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["bytes_hex"])
    whole = {
        length
        for length in range(len(payload))
        if is_frame(vector["device"], vector["f_port"], payload[:length])
    }
    assert whole == WHOLE_WHEN_CUT.get(name_of(vector), set())


@pytest.mark.parametrize("tail", ["00", "ff", "0000", "deadbeef00"])
@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_bytes_behind_a_frame_are_refused(vector: dict[str, Any], tail: str) -> None:
    payload = bytes.fromhex(vector["bytes_hex"] + tail)
    assert not is_frame(vector["device"], vector["f_port"], payload)


def is_sibling(model: str, other: str) -> bool:
    """Tell whether frames of the two cannot be told apart, or are the same on purpose."""
    return model.startswith("elsys-") and other.startswith("elsys-")


@pytest.mark.parametrize("model", OURS)
def test_frames_of_every_other_model_are_refused(model: str) -> None:
    """On their own port and on every port that any model uses.

    The form of ELSYS frames is that of all its models. Milesight's two share what says no angle.
    """
    ports = {vector["f_port"] for vector in VECTORS}
    for vector, f_port in itertools.product(VECTORS, ports):
        if vector["device"] == model or is_sibling(model, vector["device"]):
            continue
        payload = bytes.fromhex(vector["bytes_hex"])
        try:
            sample = decode(model, f_port, payload)
        except InvalidPayload:
            continue
        assert {model, vector["device"]} == {"milesight-em310-tilt", "milesight-em320-tilt"}
        assert sample.tilt_angle_deg is None, vector


@pytest.mark.parametrize("model", OURS)
def test_an_empty_payload_is_refused(model: str) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        decode(model, codec_for(model).default_f_port, b"")
    assert refusal.value.reason is Reason.EMPTY_PAYLOAD


@pytest.mark.parametrize("model", OURS)
def test_every_codec_has_the_same_shape(model: str) -> None:
    """Code, page, vectors; what it measures, what becomes the angle, and who says so."""
    codec = codec_for(model)
    folder = package(model)
    assert {"__init__.py", "codec.py", "README.md", "vectors.json"} <= {
        entry.name for entry in folder.iterdir()
    }
    text = type(codec).__doc__ or ""
    for heading in ("Measures:", "Tilt angle:", "Source:"):
        assert heading in text
    page = folder.joinpath("README.md").read_text()
    assert model in page
    assert "## Bytes" in page
    assert "## Source" in page
    assert codec.model == model
    assert {vector["device"] for vector in vectors_of(model)} == {model}


def test_every_folder_is_registered() -> None:
    folders = {
        entry.name
        for entry in files("plumbline.codecs.sensors").iterdir()
        if entry.joinpath("codec.py").is_file()
    }
    assert folders == {model.replace("-", "_") for model in OURS}
