"""Publishes to every broker task, over connections that are kept from call to call.

MQTT 5, for the expiry of a message and for the reason codes of its acknowledgement. Everything
happens in the caller's thread: a function's process stands still between two invocations, and a
background thread would find its connection dead each time.

The broker makes the user name the client id, so that two processes of one user take each other's
connection, without a word. A connection that is lost is therefore opened again after a random
moment, and what has no acknowledgement is published again: whoever receives it knows it by its id.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from plumbline.adapters.mqtt.endpoint import Endpoint, Resolve, resolve_host
from plumbline.adapters.mqtt.publishing import ConnectionLost, PublishingConnection
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable

_ATTEMPTS = 5
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.3


class MqttPublisher:
    """Publishes with QoS 1, never retained; for one thread.

    Args:
        url: ``mqtt://user:password@host:port`` or ``mqtts://…``.
        ca_file: PEM certificates to trust instead of the system's, for ``mqtts``.
        resolve: From host and port to IP addresses.

    Raises:
        ConfigurationError: The URL or the CA file cannot be read.
    """

    def __init__(
        self, url: str, *, ca_file: Path | None = None, resolve: Resolve = resolve_host
    ) -> None:
        self._endpoint = Endpoint.parse(url, ca_file=ca_file)
        self._resolve = resolve
        self._connections: dict[str, PublishingConnection] = {}

    def publish(self, publications: Sequence[Publication]) -> list[Published]:
        """Publish to every task that the endpoint resolves to now; return what they said.

        Of messages to one topic the order holds, but for repetitions of an earlier one.

        Raises:
            BrokerUnavailable: The endpoint does not resolve; nothing was published.
        """
        addresses = sorted(set(self._resolve(self._endpoint.host, self._endpoint.port)))
        for gone in self._connections.keys() - set(addresses):
            self._connections.pop(gone).close()
        results = [Published() for _ in publications]
        for address in addresses:
            self._publish_to(address, publications, results)
        return results

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _publish_to(
        self, address: str, publications: Sequence[Publication], results: Sequence[Published]
    ) -> None:
        waiting = dict(enumerate(publications))
        for attempt in range(1, _ATTEMPTS + 1):
            kept = address in self._connections
            try:
                self._connect(address).publish(waiting, results)
            except BrokerUnavailable as error:
                if address in self._connections:
                    self._connections.pop(address).close()
                # A kept connection may have died unnoticed, however it shows.
                if attempt == _ATTEMPTS or not (kept or isinstance(error, ConnectionLost)):
                    for index in waiting:
                        results[index].unavailable = str(error)
                    return
                if not kept:
                    time.sleep(random.uniform(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S))  # noqa: S311 - spreads load
            else:
                return

    def _connect(self, address: str) -> PublishingConnection:
        connection = self._connections.get(address)
        if connection is None:
            connection = PublishingConnection(address, self._endpoint)
            self._connections[address] = connection
        return connection
