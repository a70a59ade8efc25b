"""An uplink event of either network server: its topic and its payload, which must agree."""

import re
from dataclasses import dataclass

from plumbline.codecs import chirpstack, things_stack
from plumbline.codecs.uplink import Uplink
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

CHIRPSTACK_UPLINKS = "application/+/device/+/event/up"
THINGS_STACK_UPLINKS = "v3/+/devices/+/up"
UPLINK_FILTERS = (CHIRPSTACK_UPLINKS, THINGS_STACK_UPLINKS)
"""What to subscribe to for uplinks."""

_CHIRPSTACK = re.compile(r"application/([^/]+)/device/([^/]+)/event/up")
_THINGS_STACK = re.compile(r"v3/([^/@]+)(?:@([^/]*))?/devices/([^/]+)/up")


@dataclass(frozen=True, slots=True)
class UplinkEvent:
    """An uplink, and where the network server says it is from.

    Attributes:
        uplink: What the payload says.
        network_server: Told by the topic.
        application: From the topic.
        tenant, network_device_id: From the topic of The Things Stack; else None.
    """

    uplink: Uplink
    network_server: NetworkServer
    application: str
    tenant: str | None = None
    network_device_id: str | None = None

    def contradiction(self, entry: Lorawan) -> str | None:
        """Return what of this is not as registered, for people; None where all of it is."""
        pairs = (
            ("network server", self.network_server, entry.network_server),
            ("application", self.application, entry.application),
            ("tenant", self.tenant, entry.tenant),
            ("device id", self.network_device_id, entry.network_device_id),
        )
        for name, said, registered in pairs:
            if said != registered:
                return f"{name} {said!r}, registered {registered!r}"
        return None


def is_uplink(topic: str) -> bool:
    """Tell whether the topic is one of uplinks."""
    return topic.endswith("/up") and topic.startswith(("application/", "v3/"))


def decode_uplink_event(topic: str, payload: bytes) -> UplinkEvent:
    """Decode one uplink event.

    What topic and payload both name must be the same: a server that is mixed up is not half
    trusted.

    Raises:
        InvalidPayload: UNKNOWN_TOPIC, DEVICE_ID_MISMATCH, or as the server's decoder.
    """
    if match := _CHIRPSTACK.fullmatch(topic):
        application, dev_eui = match.groups()
        uplink = chirpstack.decode_uplink(payload)
        _require_same("DevEUI", dev_eui.lower(), uplink.dev_eui)
        _require_same("application", application, uplink.application or application)
        return UplinkEvent(uplink, NetworkServer.CHIRPSTACK, application)
    if match := _THINGS_STACK.fullmatch(topic):
        application, tenant, device_id = match.groups()
        uplink = things_stack.decode_uplink(payload)
        _require_same("device id", device_id, uplink.device_name or device_id)
        _require_same("application", application, uplink.application or application)
        return UplinkEvent(uplink, NetworkServer.THINGS_STACK, application, tenant or "", device_id)
    raise InvalidPayload(Reason.UNKNOWN_TOPIC)


def _require_same(name: str, in_topic: str, in_payload: str) -> None:
    if in_topic != in_payload:
        msg = f"{name} {in_payload!r}, in the topic {in_topic!r}"
        raise InvalidPayload(Reason.DEVICE_ID_MISMATCH, msg)
