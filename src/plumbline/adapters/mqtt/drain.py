"""The ingest session at every broker task that the endpoint resolves to."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.mqtt.endpoint import Endpoint, Resolve, resolve_host
from plumbline.adapters.mqtt.session import MqttSession
from plumbline.errors import BrokerUnavailable
from plumbline.ports import Clock


class MqttBroker:
    """All broker tasks that the endpoints resolve to.

    Args:
        urls: ``mqtt://user:password@host:port`` or ``mqtts://…``, one or several.
        topics: Filters to subscribe to with QoS 1.
        client_id: Of the session; the broker replaces it by the user name.
        ca_file: PEM certificates to trust instead of the system's, for ``mqtts``.
        resolve: From host and port to IP addresses.
        clock: Says when a message was received; the machine's by default.

    Raises:
        ConfigurationError: A URL or the CA file cannot be read.
    """

    def __init__(  # noqa: PLR0913 - each is one setting, most by keyword
        self,
        urls: str | Sequence[str],
        topics: Sequence[str],
        *,
        client_id: str | None = None,
        ca_file: Path | None = None,
        resolve: Resolve = resolve_host,
        clock: Clock | None = None,
    ) -> None:
        urls = [urls] if isinstance(urls, str) else urls
        self._endpoints = [Endpoint.parse(url, ca_file=ca_file) for url in urls]
        self._topics = list(topics)
        self._client_id = client_id
        self._resolve = resolve
        self._clock = clock or SystemClock()
        self._known: dict[str, tuple[Endpoint, str]] = {}
        self._subscribed: set[str] = set()

    def addresses(self, also: Sequence[str] = ()) -> list[str]:
        """Resolve the endpoints to ``ip:port`` (IPv6 in brackets), sorted, each once.

        Args:
            also: IP addresses of tasks that the endpoints' names do not stand for any more.

        Raises:
            BrokerUnavailable: One does not resolve, and there are no others.
        """
        self._known = {
            _join(ip, endpoint.port): (endpoint, ip)
            for endpoint in self._endpoints
            for ip in [*self._resolve_beside(endpoint, also), *also]
        }
        return sorted(self._known)

    def open(self, address: str) -> MqttSession:
        """Connect to one task with the persistent ingest session, and subscribe where needed.

        It subscribes where the broker did not know the session, and at the first opening of that
        address by this object, as the filters may have changed. Not at each opening: the broker
        answers every subscription with all retained messages.

        Args:
            address: One that ``addresses`` returned.

        Raises:
            BrokerUnavailable: Unreachable, refused, not authorised, or not the host that its
                certificate should name; the message says which.
        """
        if address not in self._known:
            self.addresses()
        if address not in self._known:
            msg = f"{address} is not an address of the broker any more"
            raise BrokerUnavailable(msg)
        endpoint, ip = self._known[address]
        client_id = self._client_id or endpoint.username
        session = MqttSession(address, ip, endpoint, client_id, clock=self._clock)
        try:
            if not session.session_present or address not in self._subscribed:
                session.subscribe(self._topics, done=partial(self._subscribed.add, address))
        except BrokerUnavailable:
            session.close()
            raise
        return session

    def _resolve_beside(self, endpoint: Endpoint, also: Sequence[str]) -> Sequence[str]:
        """Resolve; beside other addresses, the name may stand for nothing any more."""
        try:
            return self._resolve(endpoint.host, endpoint.port)
        except BrokerUnavailable:
            if also:
                return []
            raise


def _join(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
