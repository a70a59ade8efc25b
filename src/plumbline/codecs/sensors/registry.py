"""Finds the installed codecs: ours and those of other packages, in the same way.

A codec is an object with the shape of `SensorCodec`, named by an entry point of the group
``plumbline.sensor_codecs`` whose name is the model. It is loaded when its model is first asked
for, so that a broken package of one user stops nobody else's sensors.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload, UnsupportedCommand

GROUP = "plumbline.sensor_codecs"

_MAX_F_PORT = 223
_MAX_FRAME_BYTES = 242


def models() -> list[str]:
    """Return the models for which a codec is installed, sorted."""
    return sorted(_installed())


@cache
def codec_for(model: str) -> SensorCodec:
    """Return the model's codec.

    Raises:
        InvalidPayload: UNKNOWN_MODEL: none is installed, it cannot be loaded, or two packages
            claim the model.
    """
    points = _installed().get(model)
    if points is None:
        raise InvalidPayload(Reason.UNKNOWN_MODEL, f"no codec for {model!r}")
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(point.dist.name if point.dist else "?" for point in points))
        raise InvalidPayload(Reason.UNKNOWN_MODEL, f"{model} is claimed by {owners}")
    try:
        codec: SensorCodec = points[0].load()
        loaded = codec.model
    except Exception as error:
        # Anything can happen while another package is imported; only this model suffers.
        msg = f"the codec of {model} cannot be loaded: {type(error).__name__}: {error}"
        raise InvalidPayload(Reason.UNKNOWN_MODEL, msg) from error
    if loaded != model:
        raise InvalidPayload(Reason.UNKNOWN_MODEL, f"the codec of {model} is one of {loaded!r}")
    return codec


def decode(model: str, f_port: int, payload: bytes) -> Sample:
    """Decode one frame with the model's codec.

    Raises:
        InvalidPayload: UNKNOWN_MODEL as `codec_for`; CODEC_FAILED where the codec raises anything
            else than its refusal or returns no sample; the codec's own refusals.
    """
    codec = codec_for(model)
    try:
        sample = codec.decode(payload, f_port)
    except InvalidPayload:
        raise
    except Exception as error:
        # The boundary of one record: the fault of a codec must not stop the other messages.
        raise InvalidPayload(Reason.CODEC_FAILED, f"{model}: {type(error).__name__}") from error
    if not isinstance(sample, Sample):
        raise InvalidPayload(Reason.CODEC_FAILED, f"{model} returned {type(sample).__name__}")
    return sample


def encode(model: str, command: str, params: Mapping[str, Any]) -> Downlink:
    """Encode one command with the model's codec.

    Raises:
        UnsupportedCommand: The device has no such command, or not with these parameters; no codec
            is installed for the model; or the codec is at fault. The message says which.
    """
    try:
        downlink: object = codec_for(model).encode(command, params)
    except UnsupportedCommand:
        raise
    except InvalidPayload as error:
        raise UnsupportedCommand(error.detail) from error
    except Exception as error:
        # The boundary of one record: the fault of a codec must not stop the other commands.
        msg = f"the codec of {model} failed: {type(error).__name__}"
        raise UnsupportedCommand(msg) from error
    if not isinstance(downlink, Downlink) or not _fits(downlink.f_port, downlink.payload):
        msg = f"the codec of {model} has made no downlink of it"
        raise UnsupportedCommand(msg)
    return downlink


def _fits(f_port: object, payload: object) -> bool:
    return (
        type(f_port) is int
        and 1 <= f_port <= _MAX_F_PORT
        and isinstance(payload, bytes)
        and 0 < len(payload) <= _MAX_FRAME_BYTES
    )


def forget() -> None:
    """Look for installed codecs again at the next call, after a package was installed."""
    _installed.cache_clear()
    codec_for.cache_clear()


@cache
def _installed() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found
