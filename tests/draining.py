"""What a parsing run does with the broker, without the queue."""

from plumbline.ports import Broker, BrokerMessage

TELEMETRY = ["tilt/+/telemetry"]
LINGER_S = 2.0
QUIET_S = 0.1


def take(broker: Broker, *, batch_size: int = 1000) -> list[BrokerMessage]:
    """Drain every address once, acknowledging each batch; return all messages."""
    taken: list[BrokerMessage] = []
    for address in broker.addresses():
        with broker.open(address) as session:
            while batch := session.receive(batch_size, linger_s=LINGER_S, quiet_s=QUIET_S):
                session.acknowledge(batch)
                taken += batch
    return taken


def create_session(broker: Broker) -> None:
    """Open and close the ingest session at every address, so that the brokers queue for it."""
    for address in broker.addresses():
        with broker.open(address):
            pass


def payloads(messages: list[BrokerMessage]) -> list[bytes]:
    """Return the payloads, in order."""
    return [message.payload for message in messages]


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Return payloads that tell their place."""
    return [b"%d" % number for number in range(start, start + count)]
