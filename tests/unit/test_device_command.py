"""`plumbline device`: what it refuses before it asks any server."""

import pytest
from click.testing import CliRunner, Result

from plumbline.cli.main import cli
from plumbline.errors import EXIT_CODES, PlumblineError, of_type

LORAWAN = {
    "--dev-eui": "24E124000A000001",
    "--network-server": "chirpstack",
    "--application": "app",
    "--sensor-model": "milesight-em310-tilt",
}


def add(options: dict[str, str], protocol: str = "lorawan") -> Result:
    pairs = [word for pair in options.items() for word in pair]
    return CliRunner().invoke(cli, ["device", "add", "d1", "--protocol", protocol, *pairs])


def exit_code(result: Result) -> int:
    """Return the exit status that the command line would have."""
    if isinstance(result.exception, PlumblineError):
        return of_type(EXIT_CODES, result.exception)
    return result.exit_code


@pytest.mark.parametrize("missing", LORAWAN)
def test_a_lorawan_device_without_what_it_is_known_by_is_refused(missing: str) -> None:
    result = add({name: value for name, value in LORAWAN.items() if name != missing})
    assert exit_code(result) == 2
    assert f"needs {missing}" in result.output


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--dev-eui", "24E124", "dev-eui: '24E124' is not 16 hexadecimal digits"),
        ("--sensor-model", "acme-t1", "no codec for 'acme-t1'"),
        ("--network-server", "loriot", "loriot"),
        ("--device-class", "B", "'B'"),
        ("--uplink-interval", "0s", "shorter"),
        ("--tenant", "ttn", "ChirpStack has none"),
    ],
)
def test_a_wrong_value_is_named_and_exits_with_2(option: str, value: str, says: str) -> None:
    result = add(LORAWAN | {option: value})
    assert exit_code(result) == 2
    assert says in result.output + str(result.exception)


def test_an_mqtt_device_takes_no_option_of_lorawan() -> None:
    result = add({"--dev-eui": "24E124000A000001"}, protocol="mqtt")
    assert exit_code(result) == 2
    assert "--dev-eui: only with --protocol lorawan" in result.output
