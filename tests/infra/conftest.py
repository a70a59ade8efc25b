from pathlib import Path

import pytest

from infra.deployment_plan import Plan, plan, resolved_plan
from infra.terraform_command import Terraform, initialised_copy


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return Terraform in a copy of the configuration; where there is none, skip."""
    return initialised_copy(tmp_path_factory.mktemp("terraform") / "copy")


@pytest.fixture(scope="session")
def lab(terraform: Terraform) -> Plan:
    """Return the plan of the lab from empty."""
    return plan(terraform, "lab")


@pytest.fixture(scope="session")
def resolved(terraform: Terraform, lab: Plan) -> Plan:
    """Return the plan of the lab with a made-up value for all that is known after the apply."""
    return resolved_plan(terraform, "lab", lab)


@pytest.fixture
def configuration() -> Path:
    """Return the directory of the configuration itself."""
    return Path(__file__).parents[2] / "terraform"
