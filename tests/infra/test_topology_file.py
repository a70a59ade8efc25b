"""Terraform deploys what the one description says."""

from pathlib import Path
from runpy import run_path

from plumbline.topology import TOPOLOGY

ROOT = Path(__file__).parents[2]


def test_terraform_reads_the_topology_as_it_is_now() -> None:
    """If not: ``python scripts/write_topology.py``."""
    render = run_path(str(ROOT / "scripts" / "write_topology.py"))["render"]
    assert (ROOT / "terraform" / "topology.json").read_text("utf-8") == render(TOPOLOGY)
