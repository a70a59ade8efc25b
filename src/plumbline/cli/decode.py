"""`plumbline decode`: what a sensor's bytes say, for people at a bench."""

import json
from typing import Any

import click

from plumbline.cli.system import json_option
from plumbline.codecs.sensors.registry import codec_for, models
from plumbline.codecs.sensors.registry import decode as decode_frame
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload, NotFound


def _models(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked:
        click.echo("\n".join(models()))
        context.exit()


@click.command()
@click.option("--model", required=True, help="The sensor's model, such as milesight-em310-tilt.")
@click.option(
    "--port",
    "f_port",
    type=click.IntRange(1, 223),
    help="LoRaWAN port of the uplink; as delivered by the vendor where absent.",
)
@click.option(
    "--models",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_models,
    help="List the models for which a codec is installed, and exit.",
)
@click.argument("payload_hex", metavar="HEX")
@json_option
def decode(model: str, f_port: int | None, payload_hex: str, *, as_json: bool) -> None:
    """Decode one frame of a LoRaWAN tilt sensor.

    Blanks, colons and dashes between the bytes are allowed. Exits 1 with the reason where the
    frame cannot be decoded, 2 where no codec is installed for the model.
    """
    payload = _bytes(payload_hex)
    try:
        port = codec_for(model).default_f_port if f_port is None else f_port
        sample = decode_frame(model, port, payload)
    except InvalidPayload as error:
        if error.reason is Reason.UNKNOWN_MODEL:
            msg = f"{error.detail}; `plumbline decode --models` lists them"
            raise NotFound(msg) from error
        raise
    said = {"tilt_angle_deg": sample.tilt_angle_deg, **sample.fields}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False, allow_nan=False))
        return
    _print(said)
    _explain(sample)


def _bytes(payload_hex: str) -> bytes:
    digits = payload_hex.translate(str.maketrans("", "", " :-"))
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        msg = f"not hexadecimal bytes: {payload_hex!r}"
        raise click.BadParameter(msg, param_hint="HEX") from error


def _print(said: dict[str, Any]) -> None:
    width = max(map(len, said))
    for name, value in said.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{name:<{width}}  {shown}")


def _explain(sample: Sample) -> None:
    if sample.tilt_angle_deg is None and not sample.records:
        click.echo(f"no tilt angle: {sample.no_tilt}", err=True)
