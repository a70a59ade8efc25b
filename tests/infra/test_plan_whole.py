"""One plan from empty holds everything, and says nothing."""

from pathlib import Path

import pytest

from infra.deployment_plan import Plan, plan
from infra.terraform_command import Terraform

pytestmark = pytest.mark.terraform


def test_everything_is_formatted(terraform: Terraform, configuration: Path) -> None:
    done = Terraform(terraform.program, configuration).run("fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_valid_without_a_warning(terraform: Terraform) -> None:
    done = terraform.run("validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout


def test_the_lab_is_planned_at_once_from_empty_without_a_word(lab: Plan) -> None:
    assert lab.messages == []
    assert len(lab.resources) > 200


def test_production_is_planned_at_once_from_empty_without_a_word(terraform: Terraform) -> None:
    planned = plan(terraform, "prod")
    assert planned.messages == []
    assert planned["module.rds.aws_rds_cluster.aurora"]["deletion_protection"] is True
    assert planned["module.vpc.aws_flow_log.main[0]"]["traffic_type"] == "ALL"


def test_what_is_known_after_the_apply_only_can_be_resolved(resolved: Plan, lab: Plan) -> None:
    assert resolved.messages == []
    assert resolved.resources.keys() == lab.resources.keys()
