"""RadioBridge RBS306-TILT-HP."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import radiobridge
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import one_of, require_length, require_within
from plumbline.codecs.sensors.parameters import unsupported
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_MESSAGE = 0x0F
_AWAY = 2
_EVENTS = {
    0: "periodic",
    1: "transition_toward_vertical",
    _AWAY: "transition_away_from_vertical",
    3: "change_toward_vertical",
    4: "change_away_from_vertical",
}


class Rbs306TiltHp:
    """Decodes RBS306-TILT-HP messages.

    Measures: angle from the vertical, without a sign, in steps of 0.1 degree: 0 where the sensor
    stands upright.
    Tilt angle: that angle. A transition away from the vertical, beyond the threshold set on the
    device, is an alarm.
    Source: Radio Bridge high-precision tilt sensor user guide 1.3, "Uplink messages".
    """

    model = "radiobridge-rbs306-tilt-hp"
    default_f_port = 2
    commands = ()

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (any port): a tilt event (0f), or a message without a measurement.

        Raises:
            InvalidPayload: Another protocol version, message or length, or impossible degrees.
        """
        message, fields = radiobridge.read_header(payload, f_port)
        if message != _MESSAGE:
            fields |= radiobridge.read_common(message, payload, _MESSAGE)
            return radiobridge.sample_without_tilt(self.model, fields)
        require_length(payload, 6)
        event, degrees, tenths, temperature_c = struct.unpack(">BBBb", payload[2:])
        fields["event"] = one_of("event", event, _EVENTS)
        require_within("tilt_from_vertical_deg", degrees, 0, 180)
        require_within("the tenths of the angle", tenths, 0, 9)
        fields["tilt_from_vertical_deg"] = (degrees * 10 + tenths) / 10
        fields["temperature_c"] = temperature_c
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields["tilt_from_vertical_deg"],
            status=Status.ALARM if event == _AWAY else Status.NORMAL,
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:  # noqa: ARG002 - the protocol's signature
        """Refuse: one message sets the mode, the period and all thresholds at once.

        Raises:
            UnsupportedCommand: Always.
        """
        raise unsupported(self.model, command, self.commands)


CODEC: SensorCodec = Rbs306TiltHp()
