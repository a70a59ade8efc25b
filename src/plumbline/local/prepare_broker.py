"""Makes the broker ready for devices: `python -m plumbline.local.prepare_broker DATA_DIR [ID…]`.

The broker keeps a session's messages only from when it knows the session, so the ingest session
is opened first, and saved: a crash of the broker would take it otherwise. Then the broker learns
the devices of the registry. The IDs are those of the demonstration's MQTT devices: they get new
passwords, and the simulator its configuration, with a few LoRaWAN devices behind both network
servers.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from plumbline import bootstrap
from plumbline.errors import PlumblineError
from plumbline.local import network_servers
from plumbline.local.broker_save import save
from plumbline.local.device_credentials import devices_of
from plumbline.local.private_file import write_private
from plumbline.local.running import read_environment
from plumbline.simulator.lorawan.roster import roster

_INTERVAL_S = 5.0
_LORAWAN_IDS = [f"demo-lw-{number}" for number in range(1, 6)]


def prepare_broker(data_dir: Path, demo_ids: list[str]) -> None:
    """Open the session, publish the devices, and register those of the demonstration.

    Raises:
        TransientError: Broker or database cannot serve.
    """
    environment = read_environment(data_dir)
    broker = bootstrap.ingest_broker(environment["BROKER_ENDPOINT"])
    for address in broker.addresses():
        with broker.open(address):
            pass
    if not (data_dir / "mosquitto").exists():
        return  # somebody else's broker
    save(data_dir)
    devices = devices_of(data_dir, environment["DATABASE_URL"])
    if not demo_ids:
        devices.publish()
        return
    lorawan = roster(_LORAWAN_IDS, _INTERVAL_S)
    devices.add_lorawan(lorawan, replace=True)
    passwords = {n.username: n.password for n in devices.add_many(demo_ids, rotate=True)}
    path = data_dir / "demo" / "simulator.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    config = {
        "url": environment["PLUMBLINE_DEVICE_URL"],
        "credentials": passwords,
        "lorawan": {
            "devices": {name: asdict(entry) for name, entry in lorawan.items()},
            "users": network_servers.users(data_dir),
        },
        "options": {"interval_s": _INTERVAL_S},
    }
    write_private(path, json.dumps(config))


def main() -> int:
    """Prepare the broker; return 0, or 1 with the reason on standard error."""
    try:
        prepare_broker(Path(sys.argv[1]), sys.argv[2:])
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
