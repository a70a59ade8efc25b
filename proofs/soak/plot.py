"""What was sampled, as a picture."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofs.soak.sampler import Samples

_POINTS = 200
# A tenth of a point is finer than any screen, and a third of the file.
_LONG_NUMBER = re.compile(r"(\d\.\d)\d{2,}")
_PANELS = (
    ("own memory, MB", "own_mb"),
    ("files and sockets", "files", "sockets"),
    ("threads, connections, clients", "threads", "connections", "clients"),
    ("waiting in queues", "waiting"),
    ("on disk, MB", "disk_mb", "database_mb"),
    ("Redis, MB", "used_mb"),
)
"""Title, and the ends of the names of its series."""


def plot(samples: Samples, path: Path, *, pace: float) -> None:
    """Draw the samples as SVG, time in hours of load."""
    hours = _thinned([at_s * pace / 3600 for at_s in samples.elapsed_s])
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 8, "path.simplify_threshold": 1.0}):
        figure = Figure(figsize=(11, 9), layout="constrained")
        axes: Sequence[Axes] = figure.subplots(len(_PANELS) // 2, 2, sharex=True).flatten()
        for panel, (title, *ends) in zip(axes, _PANELS, strict=True):
            panel.set_title(title)
            panel.grid(linewidth=0.3)
            for name, values in sorted(samples.series.items()):
                part, _, what = name.rpartition(".")
                if what in ends and any(values):
                    label = part if len(ends) == 1 else f"{part} {what.removesuffix('_mb')}"
                    panel.plot(hours, _thinned(values), linewidth=0.9, label=label)
            panel.set_ylim(bottom=0)
            if panel.lines:
                panel.legend(fontsize=6, ncols=2, frameon=False)
        for panel in axes[-2:]:
            panel.set_xlabel("hours of load")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    path.write_text(_LONG_NUMBER.sub(r"\1", drawn.getvalue()), "utf-8")


def _thinned(values: Sequence[float]) -> list[float]:
    each = -(-len(values) // _POINTS) or 1
    return [median(values[start : start + each]) for start in range(0, len(values), each)]
