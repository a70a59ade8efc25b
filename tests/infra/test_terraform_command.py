"""Tests that need Terraform skip where it is missing, and for no other reason."""

import shutil
from pathlib import Path

import pytest

from infra.terraform_command import initialised_copy


def test_without_terraform_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"^Terraform is not installed$"):
        initialised_copy(tmp_path / "copy")


@pytest.mark.terraform
@pytest.mark.usefixtures("terraform")
def test_a_configuration_that_is_wrong_is_no_missing_provider(
    configuration: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(configuration, source)
    (source / "wrong.tf").write_text("locals {\n", "utf-8")
    with pytest.raises(pytest.fail.Exception, match=r"wrong\.tf"):
        initialised_copy(tmp_path / "copy", source)
