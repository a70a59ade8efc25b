"""A program for test_supervisor.py: a supervisor with workers given on the command line.

``supervised.py DATA_DIR [--servers] [--once NAME=CODE] [--worker NAME=CODE] [--first-backoff S]``

A worker is ready when it has made a file of its name in the data directory.
"""

import argparse
import sys
from pathlib import Path

from plumbline.errors import PlumblineError
from plumbline.local.backoff import Backoff
from plumbline.local.data_dir import locked_data_dir
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.process import ManagedProcess, ProcessSpec, WorkerProcess
from plumbline.local.servers.redis import RedisServer
from plumbline.local.supervisor import Supervisor


def main() -> int:
    """Run until a signal; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--servers", action="store_true")
    parser.add_argument("--once", action="append", default=[])
    parser.add_argument("--worker", action="append", default=[])
    parser.add_argument("--first-backoff", type=float, default=0.2)
    arguments = parser.parse_args()
    data_dir: Path = arguments.data_dir
    try:
        with locked_data_dir(data_dir):
            processes: list[ManagedProcess] = []
            if arguments.servers:
                kinds = (PostgresServer, RedisServer, MosquittoServer)
                processes += [kind(data_dir) for kind in kinds]
            for given, once in ((arguments.once, True), (arguments.worker, False)):
                requires = [process.name for process in processes]
                for name, _, code in (text.partition("=") for text in given):
                    argv = [sys.executable, "-c", code]
                    spec = ProcessSpec(
                        name=name,
                        argv=argv,
                        ready=(data_dir / name).exists,
                        once=once,
                        requires=requires,
                        stop_timeout_s=2,
                    )
                    processes.insert(0, WorkerProcess(spec))
            Supervisor(
                data_dir,
                processes,
                on_ready=(data_dir / "endpoints.json").touch,
                backoff=Backoff(first_s=arguments.first_backoff),
            ).run()
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
