"""`plumbline trigger`: run a scheduled function now."""

import os
import threading
import time
from pathlib import Path

import click

from plumbline.cli.output import message, print_json
from plumbline.cli.system import data_dir_option, json_option
from plumbline.errors import AlreadyRunning
from plumbline.lambdas.runtime import load_handler
from plumbline.local.context import LocalContext
from plumbline.local.running import read_environment
from plumbline.topology import TOPOLOGY

_PATIENCE_S = 60.0
_POLL_S = 0.05


@click.command()
@click.argument("schedule", type=click.Choice([s.name for s in TOPOLOGY.schedules]))
@data_dir_option
@json_option
def trigger(schedule: str, data_dir: Path, *, as_json: bool) -> None:
    """Run the function of SCHEDULE once, now, and print what it did.

    Where a scheduled run is at work, this one waits for its turn.
    """
    os.environ.update(read_environment(data_dir))
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "ERROR")
    function = TOPOLOGY.function(TOPOLOGY.schedule(schedule).function)
    handler = load_handler(function)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            report = handler({"source": "plumbline.cli"}, LocalContext(function, threading.Event()))
            break
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
    if as_json:
        print_json(report)
    else:
        message(f"{function.name} ran")
        for name, value in report.items():
            click.echo(f"{name.replace('_', ' '):24}{value}")
