"""What importing each function costs, from the archive that Lambda gets."""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from plumbline.deployment.lambda_archive import build_lambda_archive, lambda_target
from plumbline.topology import TOPOLOGY

_RUNS = 5
_ROOT = Path(__file__).parents[1]
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}

# Nothing but the standard library and the archive; imports by name, as Lambda's runtime does.
_PROGRAM = """\
import json, re, sys, time
sys.path.insert(0, sys.argv[1])
began = time.perf_counter()
__import__(sys.argv[2])
taken = time.perf_counter() - began
modules = len(sys.modules)
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps([1000 * taken, peak_kb / 1024, modules]))
"""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Of one function: median of several processes.

    Attributes:
        import_ms: From the empty interpreter until the handler can be called.
        peak_mb: Of the process by then, MiB; the interpreter alone takes about 10.
        modules: Loaded by then.
    """

    function: str
    import_ms: float
    peak_mb: float
    modules: int


def measure() -> list[ColdStart]:
    """Build the archive for this Python and machine, and import each function's handler."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
        out = Path(name)
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        target = lambda_target(python, _ARCHITECTURES[platform.machine()])
        built = build_lambda_archive(_ROOT, out, target)
        with zipfile.ZipFile(out / built.archive) as archive:
            archive.extractall(out / "tree")
        return [_measure(out / "tree", f.name, f.handler) for f in TOPOLOGY.functions]


def _measure(tree: Path, function: str, handler: str) -> ColdStart:
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(tree), handler.rpartition(".")[0]]
    runs = [
        json.loads(subprocess.run(command, env={}, capture_output=True, check=True).stdout)
        for _ in range(_RUNS)
    ]
    import_ms, peak_mb, modules = (statistics.median(column) for column in zip(*runs, strict=True))
    return ColdStart(function, import_ms, peak_mb, int(modules))
