"""A simulated network server: one connection for all its devices, and their downlinks."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from plumbline.simulator.listening import Outbox
from plumbline.simulator.lorawan.chirpstack import Message
from plumbline.simulator.lorawan.radio import Downlink
from plumbline.simulator.lorawan.sender import Sender
from plumbline.simulator.plan import Publication


class SimulatedServer:
    """Queues downlinks, and transmits each after its device's next uplink.

    Args:
        publish: Sends a message as soon as that is possible.
        lost: Fraction of the downlinks that their device does not hear.
        on_executed: Called when a device has done what a downlink says.
    """

    def __init__(
        self,
        publish: Callable[[Publication], Awaitable[None]],
        lost: float,
        on_executed: Callable[[Sender, Downlink], None],
    ) -> None:
        self._by_topic: dict[str, Sender] = {}
        self._lost = lost
        self._on_executed = on_executed
        self._outbox = Outbox(publish)

    def add(self, sender: Sender) -> None:
        """Add a device."""
        self._by_topic |= dict.fromkeys(sender.server.command_topics, sender)

    async def start(self, sender: Sender, at_ms: int) -> None:
        """Switch a device on: it joins and says so."""
        self._outbox.put(sender.start(at_ms))
        await self._outbox.say()

    def take(self, topic: str, payload: bytes) -> None:
        """Take a command from the broker."""
        sender = self._by_topic.get(topic)
        if sender is None:
            return
        downlinks, replace = sender.server.read_command(topic, payload)
        if replace:
            sender.queue.clear()
        for downlink in downlinks:
            known = {one.identity: one for one in sender.queue}
            if sender.pending is not None:
                known[sender.pending[0].identity] = sender.pending[0]
            if sender.server.accepts(downlink, known):
                sender.queue.append(downlink)
                self._put(sender, sender.server.queued(downlink))
            else:
                self._put(sender, sender.server.failed(downlink))
        self._outbox.say_soon()

    async def after_uplink(self, sender: Sender, at_ms: int) -> None:
        """Do what a network server does in the device's receive windows."""
        if sender.pending is not None:
            downlink, heard = sender.pending
            sender.pending = None
            self._put(sender, sender.server.acknowledged(downlink, heard=heard))
            if not heard and sender.server.tries_again():
                sender.queue.appendleft(downlink)
        while sender.queue:
            downlink = sender.queue.popleft()
            if downlink.expires_at is not None and downlink.expires_at <= datetime.now(UTC):
                self._put(sender, sender.server.expired(downlink))
                continue
            self._transmit(sender, downlink, at_ms)
            break
        await self._outbox.say()

    def _transmit(self, sender: Sender, downlink: Downlink, at_ms: int) -> None:
        gateway_id = sender.transmit(downlink)
        self._put(sender, sender.server.sent(downlink, gateway_id))
        heard = not sender.loses(downlink, self._lost)
        if downlink.confirmed:
            sender.pending = (downlink, heard)
        if heard and sender.hear(downlink):
            self._on_executed(sender, downlink)
            if sender.restarts_by(downlink):
                sender.pending = None  # it cannot acknowledge what it heard before
                self._outbox.put(sender.start(at_ms + 1))

    def _put(self, sender: Sender, messages: Iterable[Message]) -> None:
        self._outbox.put(
            Publication(sender.device.device_id, topic, payload, witnessed=False)
            for topic, payload in messages
        )
