"""The life of one broker task, from the claim of a slot to its release."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from plumbline import bootstrap
from plumbline.adapters.mqtt.configuration import (
    COMMAND_USER,
    INGEST_USER,
    LORAWAN_COMMAND_USER,
    MONITOR_USER,
)
from plumbline.adapters.mqtt.shared_credentials import PublishedDevices, SharedCredentials
from plumbline.broker.counters import Counters
from plumbline.broker.health import FRESH_S, HEALTH_FILE
from plumbline.broker.mosquitto import Mosquitto
from plumbline.broker.slots import Slot, count_orphans
from plumbline.errors import BrokerUnavailable
from plumbline.settings import BrokerTaskSettings

_TICK_S = 1.0
_REFRESH_S = 5.0
_RETRY_S = 1.0
_DRAIN_POLL_S = 0.5
# Mosquitto counts every five seconds; what it says of the time before may still be under way.
_SETTLE_S = 1.0
_LOOPBACK = "127.0.0.1"
# Metric by counter: how much it grew since the last report.
_GROWING = {
    "publish/messages/received": "BrokerMessagesReceived",
    "publish/messages/dropped": "BrokerMessagesDropped",
}

_log = Logger(service="broker")


class BrokerTask:
    """Runs Mosquitto on a slot until told to stop.

    Args:
        settings: Of this task.
        devices: Who may connect.
        wait: Waits so many seconds; returns True once the task shall stop.
    """

    def __init__(
        self,
        settings: BrokerTaskSettings,
        devices: SharedCredentials,
        wait: Callable[[float], bool],
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._wait = wait
        self._known: PublishedDevices | None = None
        self._health_file = Path(settings.broker_run_dir) / HEALTH_FILE
        self._counted: dict[str, float] = {}
        self._services: Mapping[str, str] = {
            INGEST_USER: settings.broker_ingest_password.reveal(),
            COMMAND_USER: settings.broker_command_password.reveal(),
            LORAWAN_COMMAND_USER: settings.broker_lorawan_command_password.reveal(),
            MONITOR_USER: settings.broker_monitor_password.reveal(),
        }

    def run(self) -> int:
        """Claim, serve, drain, release; return the exit status."""
        settings = self._settings
        self._health_file.unlink(missing_ok=True)
        slot = Slot.claim(Path(settings.broker_data_dir), settings.broker_slots, self._wait)
        if slot is None:
            return 0
        _log.info("slot_claimed", slot=slot.number, used=slot.used)
        if settings.broker_journal_plugin is None:
            _log.warning("no_journal", consequence="a crash loses what came since the last save")
        mosquitto = Mosquitto(settings, slot, self._services)
        mosquitto.start()
        counters = Counters(settings.broker_plain_port, self._services[MONITOR_USER])
        try:
            if self._open_session(mosquitto, slot):
                self._serve(mosquitto, counters)
            status = mosquitto.has_ended()
            if status is not None:
                _log.error("mosquitto_ended", status=status)
                return 1
            if self._drain(mosquitto, counters):
                slot.mark_drained()
        finally:
            counters.close()
            mosquitto.stop()
            slot.release()
        _log.info("slot_released", slot=slot.number)
        return 0

    def _open_session(self, mosquitto: Mosquitto, slot: Slot) -> bool:
        """Make the broker keep what devices publish, before the first can; False to stop."""
        broker = bootstrap.ingest_broker(self._loopback_url(), self._settings.mqtt_topic)
        while mosquitto.has_ended() is None:
            try:
                for address in broker.addresses():
                    with broker.open(address) as session:
                        self._note_session(slot, present=session.session_present)
                # A crash would take a session that only memory has, and what it is there for.
                mosquitto.save()
            except BrokerUnavailable as error:
                _log.info("broker_not_ready", error=str(error))
            else:
                return True
            if self._wait(_RETRY_S):
                break
        return False

    def _note_session(self, slot: Slot, *, present: bool) -> None:
        lost = slot.used and not present
        if lost:
            _log.error("ingest_session_lost", slot=slot.number)
        metrics = _metrics()
        metrics.add_metric("IngestSessionsLost", MetricUnit.Count, int(lost))
        metrics.flush_metrics()

    def _loopback_url(self) -> str:
        secret = quote(self._services[INGEST_USER], safe="")
        port = self._settings.broker_plain_port
        return f"mqtt://{INGEST_USER}:{secret}@{_LOOPBACK}:{port}"

    def _serve(self, mosquitto: Mosquitto, counters: Counters) -> None:
        """Keep devices, health and metrics up to date until told to stop, or Mosquitto ended."""
        refresh_at_s = time.monotonic()
        report_at_s = refresh_at_s + self._settings.broker_report_every_s
        while mosquitto.has_ended() is None:
            if time.monotonic() >= refresh_at_s:
                self._refresh(mosquitto)
                refresh_at_s = time.monotonic() + _REFRESH_S
            if self._known is not None and _is_fresh(counters):
                self._health_file.touch(mode=0o600)
            if time.monotonic() >= report_at_s:
                self._report(counters)
                report_at_s += self._settings.broker_report_every_s
            if self._wait(_TICK_S):
                return

    def _refresh(self, mosquitto: Mosquitto) -> None:
        try:
            found = self._devices.fetch(self._known)
        except BrokerUnavailable as error:
            _log.warning("devices_not_read", error=str(error))
            return
        if found is not None:
            mosquitto.admit(found.hashes)
            self._known = found
            _log.info("devices_read", devices=len(found.hashes))

    def _drain(self, mosquitto: Mosquitto, counters: Counters) -> bool:
        """Send the devices to other tasks, and wait until nothing waits here; tell whether so."""
        mosquitto.admit({})
        began_s = time.monotonic()
        queued = None
        while mosquitto.has_ended() is None:
            if counters.updated_at_s is not None and counters.updated_at_s > began_s + _SETTLE_S:
                queued = counters.queued()
            taken_s = time.monotonic() - began_s
            if queued == 0 or taken_s >= self._settings.broker_drain_s:
                break
            time.sleep(_DRAIN_POLL_S)
        _log.info("drained", queued=queued, seconds=round(time.monotonic() - began_s, 1))
        return queued == 0

    def _report(self, counters: Counters) -> None:
        metrics = _metrics()
        for counter, metric in _GROWING.items():
            value = counters.value(counter)
            if value is not None:
                grown = value - self._counted.get(counter, 0.0)
                metrics.add_metric(metric, MetricUnit.Count, grown)
                self._counted[counter] = value
        for metric, level in (
            ("BrokerClientsConnected", counters.value("clients/connected")),
            ("BrokerMessagesQueued", counters.queued()),
        ):
            if level is not None:
                metrics.add_metric(metric, MetricUnit.Count, level)
        orphans = count_orphans(Path(self._settings.broker_data_dir), self._settings.broker_slots)
        metrics.add_metric("SlotsOrphaned", MetricUnit.Count, orphans)
        metrics.flush_metrics()


def _metrics() -> EphemeralMetrics:
    return EphemeralMetrics(namespace="Plumbline", service="broker")


def _is_fresh(counters: Counters) -> bool:
    heard_at_s = counters.heard_at_s
    return heard_at_s is not None and time.monotonic() - heard_at_s < FRESH_S
