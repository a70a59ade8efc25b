"""What a fleet does in a month, and what that asks of each part.

What a reading costs was measured on 2 cores with the packaged functions of
`tests/infra/test_lambda_archive.py` (10,000 readings of 100 devices, November 2026); what AWS adds
(its network, the share of a core that memory buys) is an estimate, named below.
"""

from dataclasses import dataclass

from plumbline.topology import TOPOLOGY

HOURS = 730.0
SECONDS = HOURS * 3600
GB = 1e9

# --- measured -------------------------------------------------------------------------------

PARSING_CPU_S = 0.0004  # of a core, per reading
DISTRIBUTING_CPU_S = 0.0043  # per batch of 10
DB1_CPU_S = 0.0028  # per batch of 25
DATABASE_CPU_S = 0.00006  # per reading
ROW_BYTES = 206  # of sensor_data with its indexes
WAL_BYTES = 370  # per reading, in batches of 25
FUNCTION_LOG_BYTES = 800  # per invocation: one line, one of metrics
SAVED_BYTES = 122  # of a queued message in Mosquitto's file, beside its payload
IMAGE_GB = 0.08
ARCHIVES_GB = 0.15

# --- estimates ------------------------------------------------------------------------------

SQS_CALL_S = 0.010
DATABASE_TRANSACTION_S = 0.015
FULL_CORE_MB = 1769  # Lambda gives so much memory a core
LAMBDA_LINES_BYTES = 300  # START, END and REPORT of each invocation
QUEUE_MESSAGE_BYTES = 500  # beside the payload: names, attributes, the request's part
MQTT_OVERHEAD_BYTES = 150  # TLS, TCP and MQTT both ways
# An event source mapping asks with five long polls of 20 s at a time while nothing comes.
IDLE_POLLS = 5 * SECONDS / 20
COMMANDS_PER_DEVICE = 10  # a month
COMMAND_S = 0.3  # to connect to each broker task, publish and be acknowledged
BY_HAND_RUNS = 200  # a month, of functions that people invoke
BY_HAND_S = 3.0
REQUESTS_PER_USER_DAY = 2000
WORKING_DAYS = 22
RESPONSE_BYTES = 8000
WAF_LOG_BYTES = 1500
ACCESS_LOG_BYTES = 500
HOT_SHARE = 0.25  # of a day's rows that must stay in memory for inserting to be fast
ACU_GB = 2.0
ACU_CORES = 0.25
RETENTION_DAYS = 90
IO_BYTES = 4096  # a write of Aurora's log
BACKUP_DAYS = 7


@dataclass(frozen=True, slots=True)
class Load:
    """What the system has to do; the defaults are the design document's 10,000 in five minutes.

    Attributes:
        devices: That report.
        interval_s: Between two readings of one.
        payload_bytes: Of a reading.
        users: Of the portal, on a working day.
    """

    devices: int = 1000
    interval_s: float = 30.0
    payload_bytes: int = 200
    users: int = 20

    @property
    def readings(self) -> float:
        """A month."""
        return self.readings_s * SECONDS

    @property
    def readings_s(self) -> float:
        """A second."""
        return self.devices / self.interval_s

    @property
    def commands(self) -> float:
        """To devices, a month."""
        return self.devices * COMMANDS_PER_DEVICE

    @property
    def requests(self) -> float:
        """To the portal, a month."""
        return self.users * REQUESTS_PER_USER_DAY * WORKING_DAYS

    @property
    def response_gb(self) -> float:
        """From the portal, a month."""
        return self.requests * RESPONSE_BYTES / GB

    @property
    def device_gb(self) -> float:
        """Between devices and broker, a month."""
        return self.readings * (self.payload_bytes + MQTT_OVERHEAD_BYTES) / GB

    @property
    def queued_gb(self) -> float:
        """Into the queues over the way of the readings, a month: two queues."""
        return 2 * self.readings * (self.payload_bytes + QUEUE_MESSAGE_BYTES) / GB

    @property
    def stored_gb(self) -> float:
        """In the database, when 90 days are full."""
        return self.readings_s * 86_400 * RETENTION_DAYS * ROW_BYTES / GB

    @property
    def saved_mib_s(self) -> float:
        """Written to the broker's file system, on average: each save writes all that is queued.

        The queue grows until the next drain, and is saved every two seconds.
        """
        period_s = TOPOLOGY.schedule("ingestion").period_s
        queued = self.readings_s * period_s / 2
        return queued * (SAVED_BYTES + self.payload_bytes) / 2 / 2**20

    def acu(self, least: float) -> float:
        """Return the capacity that an Aurora instance needs for it."""
        cores = self.readings_s * DATABASE_CPU_S / 0.5
        memory_gb = HOT_SHARE * self.readings_s * 86_400 * ROW_BYTES / GB
        return max(least, cores / ACU_CORES, memory_gb / (0.75 * ACU_GB))
