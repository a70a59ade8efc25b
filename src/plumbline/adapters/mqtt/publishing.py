"""One connection that publishes, and waits for the acknowledgement of each message."""

import select
import ssl
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, time
from typing import NoReturn

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable

_CONNECT_TIMEOUT_S = 5.0
_PUBACK_TIMEOUT_S = 5.0
# None: the process may stand still for hours, and finds out at its next message.
_KEEPALIVE_S = 0
_NO_MATCHING_SUBSCRIBERS = 0x10
_FIRST_FAILURE = 0x80


class ConnectionLost(BrokerUnavailable):
    """The broker closed the connection: it stopped, or somebody of the same user connected."""


class PublishingConnection:
    """One connection to one broker task.

    Args:
        address: IP address of the task.
        endpoint: Whose port, user and TLS it has.

    Raises:
        BrokerUnavailable: Unreachable, refused, or not the host that its certificate should name.
    """

    def __init__(self, address: str, endpoint: Endpoint) -> None:
        self._name = f"{address}:{endpoint.port}"
        self._connected = False
        self._refusal: str | None = None
        self._codes: dict[int, int] = {}
        self._poll = select.poll()
        self._client = self._make_client(endpoint)
        try:
            self._connect(address, endpoint.port)
        except BrokerUnavailable:
            self.close()
            raise

    def publish(self, waiting: dict[int, Publication], results: Sequence[Published]) -> None:
        """Publish messages and note in the results what the broker said.

        Args:
            waiting: By index of its result; what has its acknowledgement is taken out.
            results: Of all.

        Raises:
            ConnectionLost: Of what is still waiting nothing is known.
            BrokerUnavailable: Likewise; the broker does not answer.
        """
        self._look()
        indices = {}
        for index, publication in waiting.items():
            info = self._client.publish(
                publication.topic,
                publication.payload,
                qos=1,
                retain=False,
                properties=_properties(publication),
            )
            self._check(info.rc)
            indices[info.mid] = index
        deadline = monotonic() + _PUBACK_TIMEOUT_S
        while indices:
            for mid in [mid for mid in self._codes if mid in indices]:
                index = indices.pop(mid)
                _note(self._codes.pop(mid), results[index], self._name)
                del waiting[index]
                deadline = monotonic() + _PUBACK_TIMEOUT_S
            if indices:
                self._step(deadline, "acknowledges no message")

    def close(self) -> None:
        """Disconnect."""
        with suppress(OSError, ValueError):  # ValueError: paho, of a socket that is closed already
            self._client.disconnect()

    def _make_client(self, endpoint: Endpoint) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=endpoint.username,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.username = endpoint.username
        client.password = endpoint.password
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        return client

    def _connect(self, address: str, port: int) -> None:
        deadline = monotonic() + _CONNECT_TIMEOUT_S
        try:
            self._check(self._client.connect(address, port, _KEEPALIVE_S, clean_start=True))
        except ssl.SSLCertVerificationError as error:
            self._fail(f"its certificate: {error.verify_message}", error)
        except ssl.SSLError as error:
            self._fail(f"no TLS: {error.reason or error}", error)
        except OSError as error:
            self._fail(error.strerror or str(error), error)
        while not self._connected:
            self._step(deadline, "does not answer")

    def _look(self) -> None:
        """Find out whether the broker has closed the connection meanwhile."""
        while self._wait(select.POLLIN, 0.0):
            self._check(self._client.loop_read())

    def _step(self, deadline: float, failure: str) -> None:
        """Write what waits, and read one packet."""
        while self._client.want_write():
            if not self._wait(select.POLLOUT, deadline - monotonic()):
                self._fail(failure)
            self._check(self._client.loop_write())
        if not self._wait(select.POLLIN, deadline - monotonic()):
            self._fail(failure)
        self._check(self._client.loop_read())

    def _wait(self, event: int, timeout_s: float) -> bool:
        """Wait until the socket is ready; False when the time is up."""
        connection = self._client.socket()
        if connection is None:
            self._lose()
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True  # already decrypted, which the descriptor does not show
        self._poll.register(connection, event)
        return bool(self._poll.poll(max(0.0, timeout_s) * 1000))

    def _check(self, code: MQTTErrorCode) -> None:
        if self._refusal is not None:
            self._fail(self._refusal)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lose()

    def _lose(self) -> NoReturn:
        msg = f"broker {self._name}: closed the connection"
        raise ConnectionLost(msg)

    def _fail(self, reason: str, cause: Exception | None = None) -> NoReturn:
        msg = f"broker {self._name}: {reason}"
        raise BrokerUnavailable(msg) from cause

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._refusal = f"refused the connection: {code}"
        self._connected = True

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        code: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._codes[mid] = code.value


def _note(code: int, result: Published, broker: str) -> None:
    if code >= _FIRST_FAILURE:
        result.unavailable = f"broker {broker}: {ReasonCode(PacketTypes.PUBACK, identifier=code)}"
    elif code != _NO_MATCHING_SUBSCRIBERS:
        result.taken = True


def _properties(publication: Publication) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's has no types
    properties.PayloadFormatIndicator = 1  # UTF-8
    properties.ContentType = "application/json"
    if publication.expires_in_s is not None:
        properties.MessageExpiryInterval = publication.expires_in_s
        # The same for the broker's journal, which does not see the interval.
        properties.UserProperty = ("expires-at", str(int(time()) + publication.expires_in_s))
    if publication.response_topic is not None:
        properties.ResponseTopic = publication.response_topic
    if publication.correlation is not None:
        properties.CorrelationData = publication.correlation
    return properties
