"""Terraform on a copy of the configuration, without AWS and without anybody's credentials."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "terraform"

_PROVIDER = "hashicorp/aws"
_NO_PROVIDER = ("Failed to query available provider packages", "Failed to install provider")
# Where people and packagers put provider plugins, beside the places that Terraform looks at itself.
_SHARED_DIRECTORIES = ("/opt", "/usr/local/share", "/usr/local/lib", "/usr/share", "/usr/lib", "~")


@dataclass(frozen=True, slots=True)
class Terraform:
    """An initialised working directory."""

    program: str
    directory: Path

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Terraform; the exit status is the caller's to look at."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=_environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def initialised_copy(directory: Path, source: Path = SOURCE) -> Terraform:
    """Copy the configuration to a new directory and initialise it there.

    Skips the test where Terraform is not installed, or its provider is not to be had; a
    configuration that is wrong fails it.
    """
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("Terraform is not installed")
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.tf", "*.auto.tfvars")
    shutil.copytree(source, directory, ignore=ignored)
    terraform = Terraform(program, directory)
    command = ["init", "-backend=false", "-input=false", "-no-color"]
    for options in _provider_options():
        done = terraform.run(*command, *options)
        if done.returncode == 0:
            return terraform
        if not any(summary in done.stderr for summary in _NO_PROVIDER):
            pytest.fail(done.stderr)
    pytest.skip(f"Terraform's provider {_PROVIDER} is not installed and cannot be downloaded")


def _provider_options() -> Iterator[list[str]]:
    """Yield options of `init`: the user's settings first, then what lies on this machine."""
    settings = os.environ.get("TF_CLI_CONFIG_FILE", "~/.terraformrc")
    if Path(settings).expanduser().exists() or "TF_PLUGIN_CACHE_DIR" in os.environ:
        yield []
    for name in _SHARED_DIRECTORIES:
        for depth in ("*", "*/*"):
            for found in sorted(Path(name).expanduser().glob(f"{depth}/*/{_PROVIDER}")):
                yield [f"-plugin-dir={found.parents[2]}"]
    yield []


def _environment() -> dict[str, str]:
    """Return this process's environment without what could reach a real account."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TF_VAR_", "TF_LOG", "TF_CLI_ARGS"))
    }
    settings = kept.get("TF_CLI_CONFIG_FILE")
    if settings is not None and not Path(settings).expanduser().exists():
        del kept["TF_CLI_CONFIG_FILE"]  # Terraform would warn of it each time
    return kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }
