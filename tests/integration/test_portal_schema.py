"""Schemathesis over the running API: what the OpenAPI document says is what it does."""

import subprocess
import sys
from pathlib import Path

from portal_process import PortalProcess


def test_schemathesis_finds_nothing(portal: PortalProcess, tmp_path: Path) -> None:
    """All checks, all phases; as an operator, who may use every route."""
    token = portal.api_token("operator", "read", "write")
    config = Path(__file__).parents[1] / "schemathesis.toml"
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "--config-file",
            str(config),
            "--no-color",
            "run",
            f"{portal.url}/api/openapi.json",
            "--header",
            f"Authorization: Bearer {token}",
            "--checks",
            "all",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "Stateful" in done.stdout
    assert "Traceback" not in portal.log
