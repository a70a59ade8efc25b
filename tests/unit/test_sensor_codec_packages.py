"""Codecs of other packages: found by entry point, and kept from harming ours."""

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from plumbline.cli.decode import decode as decode_command
from plumbline.codecs.sensors import registry
from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.registry import codec_for, decode, encode, models
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload, UnsupportedCommand

HOW_TO = Path(__file__).parents[2] / "docs/how-to/add-a-sensor-codec.md"


class Site:
    """A directory on the import path into which packages are installed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(self, distribution: str, codecs: dict[str, str], modules: dict[str, str]) -> None:
        """Install modules and the metadata that a package manager would write."""
        for name, source in modules.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source)
        metadata = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = [f"{model} = {value}" for model, value in codecs.items()]
        (metadata / "entry_points.txt").write_text(
            "\n".join([f"[{registry.GROUP}]", *lines]) + "\n"
        )
        registry.forget()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]
    registry.forget()


def codec_source(model: str, decode_body: str) -> str:
    return (
        "from plumbline.codecs.sensors.sample import Sample\n"
        "class Codec:\n"
        f"    model = {model!r}\n"
        "    default_f_port = 1\n"
        "    commands = ()\n"
        "    def decode(self, payload, f_port):\n"
        f"        {decode_body}\n"
        "CODEC = Codec()\n"
    )


def encoder_source(encode_body: str) -> str:
    return (
        "from plumbline.codecs.sensors.codec import Downlink\n"
        + codec_source("acme-level", "pass")
        + "def encode(command, params):\n"
        f"    {encode_body}\n"
        "CODEC.encode = encode\n"
    )


def refusal_of(model: str) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as refusal:
        decode(model, 1, b"\x01")
    return refusal.value


def test_a_package_adds_a_codec(site: Site) -> None:
    assert "acme-level" not in models()
    source = codec_source("acme-level", "return Sample(model=self.model, fields={'bytes': 1})")
    site.install("acme-codecs", {"acme-level": "acme:CODEC"}, {"acme.py": source})
    assert "acme-level" in models()
    assert "milesight-em310-tilt" in models()
    assert decode("acme-level", 1, b"\x01").fields == {"bytes": 1}


def test_an_unknown_model_is_refused() -> None:
    refusal = refusal_of("acme-unknown")
    assert refusal.reason is Reason.UNKNOWN_MODEL
    assert "acme-unknown" in refusal.detail


@pytest.mark.parametrize(
    ("value", "source", "says"),
    [
        ("acme:CODEC", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("acme:CODEC", "import acme_missing", "ModuleNotFoundError"),
        ("acme:OTHER", "CODEC = None", "AttributeError"),
        ("acme:CODEC", "CODEC = None", "AttributeError"),
        ("acme:CODEC", codec_source("acme-other", "pass"), "is one of 'acme-other'"),
    ],
)
def test_a_codec_that_cannot_be_loaded_makes_its_model_unknown(
    site: Site, value: str, source: str, says: str
) -> None:
    """Its device's messages wait in quarantine; those of the others are read."""
    site.install("acme-codecs", {"acme-level": value}, {"acme.py": source})
    refusal = refusal_of("acme-level")
    assert refusal.reason is Reason.UNKNOWN_MODEL
    assert says in refusal.detail
    assert decode("radiobridge-rbs301-tilt", 2, b"\x1b\x0a\x02\x38").tilt_angle_deg == 56


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise IndexError('list index out of range')", "acme-level: IndexError"),
        ("return self.decode(payload, f_port)", "acme-level: RecursionError"),
        ("return None", "acme-level returned NoneType"),
        ("return Sample(model=self.model, fields={'raw': payload})", "raw is no JSON value"),
    ],
)
def test_a_faulty_codec_is_a_refusal_of_that_frame(site: Site, body: str, says: str) -> None:
    source = codec_source("acme-level", body)
    site.install("acme-codecs", {"acme-level": "acme:CODEC"}, {"acme.py": source})
    refusal = refusal_of("acme-level")
    assert refusal.reason is Reason.CODEC_FAILED
    assert says in refusal.detail


def test_a_model_that_two_packages_claim_is_refused(site: Site) -> None:
    source = codec_source("milesight-em310-tilt", "return None")
    site.install("acme-codecs", {"milesight-em310-tilt": "acme:CODEC"}, {"acme.py": source})
    refusal = refusal_of("milesight-em310-tilt")
    assert refusal.reason is Reason.UNKNOWN_MODEL
    assert refusal.detail == "milesight-em310-tilt is claimed by acme-codecs, plumbline"


def test_a_codec_is_loaded_only_when_its_model_is_asked_for(site: Site) -> None:
    site.install("acme-codecs", {"acme-level": "acme:CODEC"}, {"acme.py": "raise SystemError"})
    codec_for("milesight-em310-tilt")
    assert "acme" not in sys.modules


# --- the how-to page -------------------------------------------------------------------------


def blocks(language: str) -> dict[str, str]:
    """Return the page's code blocks by the file name in their first line."""
    found = re.findall(rf"```{language}\n# (\S+)\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    return dict(found)


def test_the_example_of_the_how_to_page_works(site: Site) -> None:
    """Installed as written: its own tests pass, and the command prints what the page shows."""
    codecs = tomllib.loads(blocks("toml")["pyproject.toml"])["project"]["entry-points"][
        registry.GROUP
    ]
    modules = {name.removeprefix("src/"): text for name, text in blocks("python").items()}
    site.install("acme-tilt-codecs", codecs, modules)

    tests = runpy.run_path(str(site.path / "tests/test_acme_tilt.py"))
    functions = [value for name, value in tests.items() if name.startswith("test_")]
    assert len(functions) == 3
    for function in functions:
        function()

    [(command, shown)] = re.findall(
        r"\$ plumbline decode (.*?)\n(.*?)```", HOW_TO.read_text(), re.DOTALL
    )
    assert CliRunner().invoke(decode_command, shlex.split(command)).output == shown


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ZeroDivisionError", "the codec of acme-level failed: ZeroDivisionError"),
        ("return None", "has made no downlink"),
        ("return b'bytes'", "has made no downlink"),
        ("return Downlink(0, b'1')", "has made no downlink"),
        ("return Downlink(224, b'1')", "has made no downlink"),
        ("return Downlink(True, b'1')", "has made no downlink"),
        ("return Downlink(85, b'')", "has made no downlink"),
        ("return Downlink(85, b'x' * 243)", "has made no downlink"),
        ("return Downlink(85, 'text')", "has made no downlink"),
    ],
)
def test_a_codec_that_makes_no_downlink_fails_the_command_alone(
    site: Site, body: str, says: str
) -> None:
    site.install("acme-codecs", {"acme-level": "acme:CODEC"}, {"acme.py": encoder_source(body)})
    with pytest.raises(UnsupportedCommand, match=says):
        encode("acme-level", "reboot", {})


def test_a_package_adds_a_command(site: Site) -> None:
    source = encoder_source("return Downlink(85, command.encode())")
    site.install("acme-codecs", {"acme-level": "acme:CODEC"}, {"acme.py": source})
    assert encode("acme-level", "reboot", {}) == Downlink(85, b"reboot")


def test_a_command_to_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnsupportedCommand, match="acme-unknown"):
        encode("acme-unknown", "reboot", {})
