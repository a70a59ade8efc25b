"""The portal's speed, on a system as `plumbline up` starts it, and the table of it."""

from dataclasses import dataclass

from benchmarks import portal_load, portal_reads, portal_status
from benchmarks.portal_load import RequestTimes
from benchmarks.portal_reads import ExportSpeed, SeriesSpeed
from benchmarks.portal_status import Load, StatusSpeed
from benchmarks.portal_world import running_world


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything.

    Attributes:
        rows: Readings in the table, of 100 devices in 90 days.
        connections: Of the load of statuses.
        seconds: Of each load.
        export_rows: Of the device that is exported.
        users: At once in the mixed load.
    """

    rows: int
    connections: int
    seconds: int
    export_rows: int
    users: int


@dataclass(frozen=True, slots=True)
class PortalSpeed:
    """All figures."""

    status: StatusSpeed
    series: list[SeriesSpeed]
    exports: list[ExportSpeed]
    load: list[RequestTimes]


def measure(scale: Scale) -> PortalSpeed:
    """Start a system, fill it, and measure one thing after the other."""
    with running_world(scale.rows, scale.users) as world:
        return PortalSpeed(
            status=portal_status.measure(world, scale.connections, scale.seconds),
            series=portal_reads.series(world),
            load=portal_load.measure(world, scale.users, 6 * scale.seconds),
            exports=portal_reads.exports(world, scale.export_rows),
        )


def show(speed: PortalSpeed, scale: Scale) -> None:
    """Print the tables."""
    _show_status(speed.status, scale)
    print(
        f"\none device's series of up to 2,000 points, {scale.rows:,} readings in the table, warm"
    )
    print(f"{'':26}{'readings':>10}{'points':>10}{'median ms':>12}{'worst ms':>14}")
    for one in speed.series:
        print(
            f"{f'{one.days} days':26}{one.readings:>10,}{one.points:>10,}{one.median_ms:>12.1f}"
            f"{one.worst_ms:>14.1f}"
        )
    print("\nall readings of one device as a file")
    print(f"{'':26}{'rows':>10}{'rows/s':>10}{'peak MB':>12}{'portal +MB':>14}")
    for file in speed.exports:
        print(
            f"{file.form:26}{file.rows:>10,}{file.rate:>10,.0f}{file.peak_mb:>12.0f}"
            f"{file.portal_mb:>14.0f}"
        )
    print(f"\n{scale.users} users at once, ten a second come; 1 to 5 s between two requests of one")
    print(f"{'':26}{'requests':>10}{'failures':>10}{'requests/s':>12}{'p50 ms':>14}{'p95 ms':>9}")
    for kind in speed.load:
        print(
            f"{kind.name:26}{kind.requests:>10,}{kind.failures:>10,}{kind.rate:>12.1f}"
            f"{kind.p50_ms:>14.0f}{kind.p95_ms:>9.0f}"
        )
    print()


def _show_status(status: StatusSpeed, scale: Scale) -> None:
    print(f"cached device status, {scale.connections} connections")
    headings = ("requests/s", "portal is", "p50 ms", "p99 ms", "errors")
    print(f"{'':26}" + "{:>10}{:>10}{:>12}{:>14}{:>9}".format(*headings))
    lines: list[tuple[str, Load, float | None]] = [
        ("portal, with a token", status.portal, None),
        ("bare handler", status.bare, status.of_bare),
        ("FastAPI, uvicorn, redis-py", status.obvious, status.of_obvious),
    ]
    for name, load, ratio in lines:
        times = "" if ratio is None else f"{ratio:.2f} x"
        print(
            f"{name:26}{load.rate:>10,.0f}{times:>10}{load.p50_ms:>12.1f}{load.p99_ms:>14.1f}"
            f"{load.errors:>9,}"
        )
    print(f"{'p99 of the portal':26}{'':10}{status.p99_of_bare:>8.2f} x the bare handler's")
