"""What a broker that is killed again and again loses of what it has acknowledged.

The devices are the witness: they stand outside, count the acknowledgements that they read, and
send again what was not acknowledged, as a device does. The drain takes messages meanwhile, and is
cut off by each kill, too. A kill takes the broker's process, not the machine: what the operating
system has is kept. For a power cut there is the mode ``synced``.
"""

import random
import secrets
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import publisher
from plumbline.adapters.mqtt.configuration import INGEST_USER, SERVICE_USERS, BrokerOptions
from plumbline.adapters.mqtt.credentials import PasswordFile, hash_password
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.errors import BrokerUnavailable
from plumbline.local.broker_journal import JournalMode
from plumbline.local.broker_save import save
from plumbline.local.servers.journal_plugin import build_journal_plugin
from plumbline.local.servers.mosquitto import MosquittoServer, service_password

MakeServer = Callable[[Path, JournalMode], MosquittoServer]

_DEVICES = 8
_BURST = 20
_KILL_AFTER_S = (0.2, 3.0)
_READY_S = 30.0
_DRAIN_EVERY_S = 1.0
_DRAIN_BATCH = 1000
_RETRY_S = 0.02
_FILLER = b"x" * 150
_SPEED_MESSAGES = 100_000
_SPEED_SYNCED_MESSAGES = 10_000
_SPEED_CONNECTIONS = 2
_SPEED_WINDOW = 500
_SPEED_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Residue:
    """Of one mode.

    Attributes:
        journal: The mode.
        kills: How often the broker was killed.
        acknowledged: Messages whose acknowledgement a device read.
        lost: Of these, those that never came out.
        duplicates: Messages that came out again.
        out_of_order: Messages that came out for the first time behind a later one of their device.
        rate: Messages a second that the broker takes at most, nothing killed.
    """

    journal: JournalMode
    kills: int
    acknowledged: int
    lost: int
    duplicates: int
    out_of_order: int
    rate: float


def make_server(data_dir: Path, journal: JournalMode) -> MosquittoServer:
    """Return the broker as `plumbline up` runs it."""
    plugin = None if journal == "off" else build_journal_plugin(data_dir / "plugins")
    options = BrokerOptions(sync_journal=journal == "synced")
    return MosquittoServer(data_dir, journal_plugin=plugin, options=options)


def measure(
    modes: Sequence[JournalMode],
    *,
    kills: int,
    rate: float,
    seed: int,
    make: MakeServer = make_server,
) -> list[Residue]:
    """Kill the broker of each mode, and then let it run as fast as it can.

    Args:
        modes: To compare.
        kills: Of each.
        rate: Messages a second, all devices together.
        seed: Decides the moments of the kills.
        make: Makes the broker.
    """
    return [_kill_again_and_again(mode, kills, rate, seed, make) for mode in modes]


class _Device(threading.Thread):
    """Publishes numbers in order; numbers below ``acknowledged`` are acknowledged."""

    def __init__(self, address: tuple[str, int], name: str, password: str, rate: float) -> None:
        super().__init__(daemon=True)
        self.acknowledged = 0
        self.ended = threading.Event()
        self._address = address
        self._user = name
        self._password = password
        self._pause_s = _BURST / rate

    def run(self) -> None:
        while not self.ended.is_set():
            with suppress(OSError):
                self._publish()
            self.ended.wait(_RETRY_S)

    def _publish(self) -> None:
        topic = f"tilt/{self._user}/telemetry".encode()
        with socket.create_connection(self._address, _READY_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            publisher.connect(connection, self._user, self._password)
            while not self.ended.wait(self._pause_s):
                first = self.acknowledged
                packets = [
                    publisher.publish_packet(topic, number + 1, b"%d " % (first + number) + _FILLER)
                    for number in range(_BURST)
                ]
                connection.sendall(b"".join(packets))
                read = 0
                while read < 4 * _BURST:
                    data = connection.recv(4 * _BURST - read)
                    if not data:
                        return
                    read += len(data)
                    self.acknowledged = first + read // 4


class _Drain(threading.Thread):
    """Takes what the broker has for the ingest session, every second."""

    def __init__(self, broker: MqttBroker) -> None:
        super().__init__(daemon=True)
        self.taken: dict[str, list[int]] = {}
        self.ended = threading.Event()
        self._broker = broker

    def run(self) -> None:
        while not self.ended.wait(_DRAIN_EVERY_S):
            with suppress(BrokerUnavailable):
                self.drain()

    def drain(self) -> None:
        """Take all that there is."""
        [address] = self._broker.addresses()
        with self._broker.open(address) as session:
            while batch := session.receive(_DRAIN_BATCH, linger_s=1.0, quiet_s=0.2):
                for message in batch:
                    number = int(message.payload.partition(b" ")[0])
                    self.taken.setdefault(message.topic, []).append(number)
                session.acknowledge(batch)


def _kill_again_and_again(
    mode: JournalMode, kills: int, rate: float, seed: int, make: MakeServer
) -> Residue:
    chance = random.Random(seed)
    with fresh_broker(mode, make) as (server, passwords):
        address = (server.host, server.port)
        devices = [_Device(address, *item, rate / _DEVICES) for item in passwords.items()]
        drain = _Drain(ingest(server))
        threads: list[_Device | _Drain] = [*devices, drain]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(chance.uniform(*_KILL_AFTER_S))
            server.kill()
            server.start()
            server.wait_ready(_READY_S)
        for thread in threads:
            thread.ended.set()
        for thread in threads:
            thread.join()
        drain.drain()
        lost = duplicates = out_of_order = 0
        for name, device in zip(passwords, devices, strict=True):
            taken = drain.taken.get(f"tilt/{name}/telemetry", [])
            first = list(dict.fromkeys(taken))
            lost += len(set(range(device.acknowledged)) - set(first))
            duplicates += len(taken) - len(first)
            out_of_order += sum(
                number < highest for number, highest in zip(first, _highest(first), strict=True)
            )
        acknowledged = sum(device.acknowledged for device in devices)
    speed = statistics.median(_speed(mode, make) for _ in range(_SPEED_ROUNDS))
    return Residue(mode, kills, acknowledged, lost, duplicates, out_of_order, speed)


def _highest(numbers: Sequence[int]) -> Iterator[int]:
    highest = -1
    for number in numbers:
        yield highest
        highest = max(highest, number)


def _speed(mode: JournalMode, make: MakeServer) -> float:
    """Return messages a second into the queue of the absent drain, all acknowledged."""
    messages = _SPEED_SYNCED_MESSAGES if mode == "synced" else _SPEED_MESSAGES
    with fresh_broker(mode, make) as (server, passwords):
        names = list(passwords)[:_SPEED_CONNECTIONS]

        def publish(name: str) -> None:
            topic = f"tilt/{name}/telemetry".encode()
            packets = b"".join(
                publisher.publish_packet(topic, number + 1, b"%d " % number + _FILLER)
                for number in range(_SPEED_WINDOW)
            )
            with socket.create_connection((server.host, server.port)) as connection:
                publisher.connect(connection, name, passwords[name])
                for _ in range(messages // _SPEED_CONNECTIONS // _SPEED_WINDOW):
                    connection.sendall(packets)
                    publisher.read_exactly(connection, 4 * _SPEED_WINDOW)

        threads = [threading.Thread(target=publish, args=(name,)) for name in names]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return messages / (time.perf_counter() - began)


@contextmanager
def fresh_broker(
    mode: JournalMode, make: MakeServer
) -> Iterator[tuple[MosquittoServer, dict[str, str]]]:
    """Yield a fresh broker that knows the ingest session, and its devices' passwords."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the broker's own user goes through it
        server = make(directory / "data", mode)
        passwords = {f"d{number}": secrets.token_urlsafe(16) for number in range(_DEVICES)}
        server.directory.mkdir(parents=True)
        services = {user: service_password(server.data_dir, user) for user in SERVICE_USERS}
        PasswordFile(server.directory / "passwords", services, lambda: None).publish(
            lambda: {name: hash_password(word) for name, word in passwords.items()}
        )
        server.start()
        try:
            server.wait_ready(_READY_S)
            broker = ingest(server)
            with broker.open(broker.addresses()[0]):
                pass
            save(server.data_dir)
            yield server, passwords
        finally:
            server.stop()


def ingest(server: MosquittoServer) -> MqttBroker:
    """Return the drain's side of the broker."""
    return MqttBroker(server.user_url(INGEST_USER), ["tilt/+/telemetry"])
