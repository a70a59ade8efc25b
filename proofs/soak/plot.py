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

_POINTS = 400  # fewer than 128 are not simplified
# A tenth of a point is finer than any screen; with what nobody reads it is half of the file.
_LONG_NUMBER = re.compile(r"(\d\.\d)\d{2,}")
_UNREAD = re.compile(
    r"(?<=\n)\s+|<!--.*?-->\s*"
    r'| id="(?:text|line2d|patch|[xy]tick|legend|axes|matplotlib\.axis)_\d+"'
    r'| transform="rotate\(-0 [^"]*\)"'
)
_WIDE = "files and sockets"  # the broker's are a thousand times the others'
_PANELS = (
    ("own memory, MB", "own_mb"),
    (_WIDE, "files", "sockets"),
    ("threads, connections, clients", "threads", "connections", "clients"),
    ("waiting in queues", "waiting"),
    ("on disk, MB", "disk_mb", "database_mb"),
    ("Redis, MB", "used_mb"),
)
"""Title, and the ends of the names of its series."""


def plot(samples: Samples, path: Path, *, pace: float) -> None:
    """Draw the samples as SVG, time in hours of load."""
    hours = _thinned([at_s * pace / 3600 for at_s in samples.elapsed_s])
    # Of the list of fonts one is enough: it stands at each text.
    with mpl.rc_context(
        {
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 8,
            "path.simplify_threshold": 1.0,
            "svg.fonttype": "none",
        }
    ):
        figure = Figure(figsize=(11, 9), layout="constrained")
        axes: Sequence[Axes] = figure.subplots(len(_PANELS) // 2, 2, sharex=True).flatten()
        for panel, (title, *ends) in zip(axes, _PANELS, strict=True):
            panel.set_title(title)
            drawn = {
                name: values
                for name, values in sorted(samples.series.items())
                if name.rpartition(".")[2] in ends and any(values)
            }
            highest = max((max(values) for values in drawn.values()), default=0.0)
            for name, values in drawn.items():
                # What lies on the axis tells nothing.
                if title == _WIDE or max(values) >= highest / 200:
                    part, _, what = name.rpartition(".")
                    label = part if len(ends) == 1 else f"{part} {what.removesuffix('_mb')}"
                    panel.plot(hours, _thinned(values), linewidth=0.9, label=label)
            if title == _WIDE:
                panel.set_yscale("log")
                panel.minorticks_off()
            else:
                panel.set_ylim(bottom=0)
                panel.locator_params(nbins=4)
            if panel.lines:
                panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6, frameon=False)
        for panel in axes[-2:]:
            panel.set_xlabel("hours of load")
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    path.write_text(_UNREAD.sub("", _LONG_NUMBER.sub(r"\1", file.getvalue())), "utf-8")


def _thinned(values: Sequence[float]) -> list[float]:
    each = -(-len(values) // _POINTS) or 1
    return [median(values[start : start + each]) for start in range(0, len(values), each)]
