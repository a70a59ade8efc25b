"""``python -m plumbline.simulator --config FILE``: a simulation as a process of its own.

The file is JSON, mode 0600 because it holds passwords::

    {"url": "mqtt://127.0.0.1:1883",
     "credentials": {"sim-0001": "password", …},
     "truth": "/path/truth.jsonl",          absent: none is written
     "lorawan": {"devices": {"sim-lw-01": {"dev_eui": …}}, "users": {"chirpstack": [name, word]}},
     "options": {"interval_s": 5, …}}       of SimulationConfig; faults as an object

Runs until its end, SIGINT or SIGTERM; exit code as of the command line.
"""

import argparse
import json
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.errors import EXIT_CODES, ConfigurationError, PlumblineError, of_type
from plumbline.simulator.config import LorawanPart, SimulationConfig
from plumbline.simulator.faults import Faults
from plumbline.simulator.fleet import run_simulation


def main(arguments: list[str] | None = None) -> int:
    """Run the simulation that the file describes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plumbline.simulator")
    parser.add_argument("--config", type=Path, required=True, help="JSON file")
    path: Path = parser.parse_args(arguments).config
    try:
        config, credentials, truth, lorawan = read_config(path)
        run_simulation(config, credentials, truth, lorawan=lorawan)
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return of_type(EXIT_CODES, error)
    return 0


def read_config(
    path: Path,
) -> tuple[SimulationConfig, dict[str, str], Path | None, LorawanPart]:
    """Read the options, the credentials, the path of the truth file, and the LoRaWAN devices.

    Raises:
        ConfigurationError: The file cannot be read, or something in it is wrong.
    """
    try:
        members = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"config: {path}: {error}"
        raise ConfigurationError(msg) from error
    if not isinstance(members, dict):
        msg = f"config: {path}: not an object"
        raise ConfigurationError(msg)
    _refuse_unknown(members, {"url", "credentials", "truth", "lorawan", "options"})
    options = dict(members.get("options") or {})
    _refuse_unknown(options, {field.name for field in fields(SimulationConfig)} - {"url"})
    try:
        if "faults" in options:
            options["faults"] = Faults(**options["faults"])
        if options.get("epoch") is not None:
            options["epoch"] = datetime.fromisoformat(options["epoch"])
        credentials = {
            str(name): str(password) for name, password in members["credentials"].items()
        }
        truth = members.get("truth")
        config = SimulationConfig(url=members["url"], **options)
        lorawan = _lorawan(members.get("lorawan") or {})
    except KeyError as error:
        msg = f"config: {error.args[0]}: missing"
        raise ConfigurationError(msg) from error
    except (TypeError, ValueError, AttributeError) as error:
        msg = f"config: {error}"
        raise ConfigurationError(msg) from error
    return config, credentials, None if truth is None else Path(truth), lorawan


def _lorawan(members: dict[str, Any]) -> LorawanPart:
    devices = {}
    for device_id, entry in members.get("devices", {}).items():
        entry["network_server"] = NetworkServer(entry["network_server"])
        devices[device_id] = Lorawan(**entry)
    users = {
        NetworkServer(server): (str(name), str(password))
        for server, (name, password) in members.get("users", {}).items()
    }
    return LorawanPart(devices, users)


def _refuse_unknown(members: dict[str, Any], known: set[str]) -> None:
    for name in sorted(set(members) - known):
        msg = f"config: {name}: unknown"
        raise ConfigurationError(msg)


if __name__ == "__main__":
    sys.exit(main())
