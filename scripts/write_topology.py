"""Writes terraform/topology.json from the one description; a test holds it against that."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plumbline.settings import DEFAULT_TOPICS
from plumbline.topology import TOPOLOGY, Topology

_FILE = Path(__file__).parents[1] / "terraform" / "topology.json"
# How one machine counts its messages; SQS has no such thing.
_NOT_DEPLOYED = {"name", "queue", "accounted"}


def _deployed(item: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass of the topology
    """Return what Terraform needs of a part: all but its key and one machine's numbers."""
    return {
        key: value
        for key, value in asdict(item).items()
        if key not in _NOT_DEPLOYED and not key.startswith("local_")
    }


def render(topology: Topology) -> str:
    """Return the file's text."""
    parts = {
        "functions": {part.name: _deployed(part) for part in topology.functions},
        "queues": {part.name: _deployed(part) for part in topology.queues},
        "event_sources": {part.queue: _deployed(part) for part in topology.event_sources},
        "topics": DEFAULT_TOPICS.split(","),
        "schedules": {part.name: _deployed(part) for part in topology.schedules},
    }
    return json.dumps(parts, indent=2) + "\n"


if __name__ == "__main__":
    _FILE.write_text(render(TOPOLOGY), "utf-8")
