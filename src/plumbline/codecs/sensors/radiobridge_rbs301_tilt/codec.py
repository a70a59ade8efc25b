"""RadioBridge RBS301-TILT."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import radiobridge
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import one_of, require_length, require_within
from plumbline.codecs.sensors.parameters import unsupported
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_MESSAGE = 0x0A
_TO_HORIZONTAL = 1
_EVENTS = {
    0: "transition_to_vertical",
    _TO_HORIZONTAL: "transition_to_horizontal",
    2: "change_toward_vertical",
    3: "change_toward_horizontal",
}


class Rbs301Tilt:
    """Decodes RBS301-TILT messages.

    Measures: angle from the vertical, without a sign, in whole degrees: 0 where the sensor stands
    upright.
    Tilt angle: that angle. A transition to the horizontal, beyond the threshold set on the
    device, is an alarm.
    Source: support.radiobridge.com, "How do I decode a Tilt event?".
    """

    model = "radiobridge-rbs301-tilt"
    default_f_port = 2
    commands = ()

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (any port): a tilt event (0a), or a message without a measurement.

        Raises:
            InvalidPayload: Another protocol version, message or length, or impossible degrees.
        """
        message, fields = radiobridge.read_header(payload, f_port)
        if message != _MESSAGE:
            fields |= radiobridge.read_common(message, payload, _MESSAGE)
            return radiobridge.sample_without_tilt(self.model, fields)
        require_length(payload, 4)
        event, degrees = payload[2:]
        fields["event"] = one_of("event", event, _EVENTS)
        require_within("tilt_from_vertical_deg", degrees, 0, 180)
        fields["tilt_from_vertical_deg"] = degrees
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=degrees,
            status=Status.ALARM if event == _TO_HORIZONTAL else Status.NORMAL,
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:  # noqa: ARG002 - the protocol's signature
        """Refuse: one message sets the mode, the period and all thresholds at once.

        Raises:
            UnsupportedCommand: Always.
        """
        raise unsupported(self.model, command, self.commands)


CODEC: SensorCodec = Rbs301Tilt()
