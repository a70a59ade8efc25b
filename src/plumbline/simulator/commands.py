"""A simulated device that does what it is told, as docs/how-to/connect-a-device.md asks of devices.

A command id is executed once, however often it comes, and answered each time.
"""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from plumbline.codecs.telemetry import ACKNOWLEDGEMENT_TOPIC, COMMAND_TOPIC
from plumbline.simulator.listening import Outbox
from plumbline.simulator.plan import MqttVoice, Publication, Schedule

_REMEMBERED = 1000

Restart = Callable[[], None]


class _Refused(Exception):
    """The device cannot do it; says why."""


class CommandedDevice:
    """One device, as far as it listens.

    Args:
        device_id: Its id.
        publish: Sends a message as soon as that is possible.
        restart: Loses the connection, as a restart does.
        on_executed: Called with command id and name of what was done for the first time.
        on_repeated: Called with the id of a command that came again.
    """

    def __init__(
        self,
        device_id: str,
        publish: Callable[[Publication], Awaitable[None]],
        restart: Restart,
        on_executed: Callable[[str, str], None],
        on_repeated: Callable[[str], None],
    ) -> None:
        self.topic = COMMAND_TOPIC.format(device_id=device_id)
        self._device_id = device_id
        self._outbox = Outbox(publish)
        self._restart = restart
        self._on_executed = on_executed
        self._on_repeated = on_repeated
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._early: list[bytes] = []
        self._voice: MqttVoice | None = None
        self._schedule: Schedule | None = None

    def start(self, voice: MqttVoice, schedule: Schedule) -> None:
        """Begin to measure; what it was told before is done now."""
        self._voice, self._schedule = voice, schedule
        early, self._early = self._early, []
        for payload in early:
            self.take(self.topic, payload)

    def take(self, _topic: str, payload: bytes) -> None:
        """Take a command from the broker."""
        if self._voice is None or self._schedule is None:
            self._early.append(payload)
            return
        command: Mapping[str, Any] = json.loads(payload)
        command_id: str = command["command_id"]
        restarts = False
        answer = self._answers.get(command_id)
        if answer is not None:
            self._on_repeated(command_id)
        else:
            try:
                self._execute(command, self._voice, self._schedule)
                restarts = command["command"] == "reboot"
                answer = _answer(command_id, "acknowledged", "")
                self._on_executed(command_id, command["command"])
            except _Refused as refusal:
                answer = _answer(command_id, "failed", str(refusal))
            self._answers[command_id] = answer
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        topic = ACKNOWLEDGEMENT_TOPIC.format(device_id=self._device_id)
        self._outbox.put([Publication(self._device_id, topic, answer, witnessed=False)])
        self._outbox.say_soon()
        if restarts:
            self._restart()

    def _execute(self, command: Mapping[str, Any], voice: MqttVoice, schedule: Schedule) -> None:
        now = datetime.now(UTC)
        if datetime.fromisoformat(command["expires_at"]) <= now:
            msg = "it came after its end"
            raise _Refused(msg)
        now_ms = int(now.timestamp() * 1000)
        params = command["params"]
        match command["command"]:
            case "set_interval":
                schedule.step_ms = params["interval_s"] * 1000
            case "set_threshold":
                _set_threshold(voice, params)
            case "zero":
                angle = voice.device.measure(now_ms).tilt_angle_deg
                voice.device = replace(voice.device, zero_deg=voice.device.zero_deg + angle)
            case "request_reading":
                self._outbox.put([voice.requested(now_ms)])
            case "reboot" | "identify":
                pass
            case other:
                msg = f"this device does not know {other}"
                raise _Refused(msg)


def _set_threshold(voice: MqttVoice, params: Mapping[str, Any]) -> None:
    if set(params) != {"threshold_deg"}:
        msg = "this device has one threshold, for both directions of one axis"
        raise _Refused(msg)
    structure, alarm_deg = voice.device.structure, float(params["threshold_deg"])
    ratio = structure.warning_deg / structure.alarm_deg
    voice.device = replace(
        voice.device,
        structure=replace(structure, warning_deg=ratio * alarm_deg, alarm_deg=alarm_deg),
    )


def _answer(command_id: str, status: str, detail: str) -> bytes:
    return json.dumps({"command_id": command_id, "status": status, "detail": detail}).encode()
