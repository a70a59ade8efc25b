"""`plumbline up` with workers that leak, to see whether the soak notices; a program of its own.

python -m proofs.soak.leaks ARGUMENT…             the system
python -m proofs.soak.leaks --worker FUNCTION…    one of its workers
"""

import copy
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from plumbline.cli.main import run
from plumbline.lambdas.runtime import Context, Handler, load_handler
from plumbline.local import up, worker
from plumbline.local.workers import worker_argv, worker_environment
from plumbline.topology import Function

LEAKS_SETTING = "PLUMBLINE_PLANTED_LEAKS"
_ROOT = Path(__file__).parents[2]
_MODULE = ["-P", "-m", "proofs.soak.leaks"]
PROGRAM = [sys.executable, *_MODULE]
ENVIRONMENT = {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"}
"""With which the program is started, wherever that is."""

_kept: list[dict[str, Any]] = []
_open: list[IO[bytes]] = []


def _keep_messages(event: dict[str, Any]) -> None:
    _kept.append(copy.deepcopy(event))


def _keep_file_open(event: dict[str, Any]) -> None:
    del event
    _open.append(Path(os.devnull).open("rb"))  # noqa: SIM115 - the mistake


LEAKS: Mapping[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "messages": ("each message that was persisted is kept", _keep_messages),
    "files": ("each run of the parsing function leaves a file open", _keep_file_open),
}
"""What leaks, and how, by name."""

_LEAKING_FUNCTIONS = {"messages": "db1", "files": "parsing"}


def _load_leaking(function: Function) -> Handler:
    handler = load_handler(function)
    leaks = [
        LEAKS[name][1]
        for name in os.environ[LEAKS_SETTING].split(",")
        if _LEAKING_FUNCTIONS[name] == function.name
    ]

    def handle(event: dict[str, Any], context: Context) -> dict[str, Any]:
        for leak in leaks:
            leak(event)
        return handler(event, context)

    return handle


def _work(functions: list[str]) -> int:
    with patch.object(worker, "load_handler", _load_leaking):
        worker.main(functions)
    return 0


def _run_system(arguments: list[str]) -> int:
    def leaking_environment(**settings: Any) -> dict[str, str]:  # noqa: ANN401 - handed on
        leaks = {LEAKS_SETTING: os.environ[LEAKS_SETTING]}
        return worker_environment(**settings) | ENVIRONMENT | leaks

    def leaking_argv(name: str, **options: Any) -> list[str]:  # noqa: ANN401 - handed on
        python, _, _, *functions = worker_argv(name, **options)
        return [python, *_MODULE, "--worker", *functions]

    with (
        patch.object(up, "worker_environment", leaking_environment),
        patch.object(up, "worker_argv", leaking_argv),
    ):
        return run(arguments)


if __name__ == "__main__":
    worker_options = sys.argv[1:2] == ["--worker"]
    sys.exit(_work(sys.argv[2:]) if worker_options else _run_system(sys.argv[1:]))
