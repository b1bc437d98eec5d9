"""Installed without the extra `run`: what the command says."""

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from coreframe.__main__ import RUN_MODULES
from tests.videos import clips

ROOT = Path(__file__).parents[2]


def command_without(*missing: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command's entry point in a folder, where some modules are not installed."""
    code = f"""
import sys
sys.modules |= dict.fromkeys({missing!r})  # as if they were not there
from coreframe.__main__ import main
sys.argv = ["coreframe", "curate", "videos", "--store", "store", "--out", "out"]
main()
"""
    return subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.integration
@pytest.mark.parametrize("missing", [sorted(RUN_MODULES), ["typer"], ["prefect"]])
def test_the_command_says_what_to_install(missing: list[str], tmp_path: Path) -> None:
    """At once, also where other packages brought Typer and only a later stage would find out."""
    clips(tmp_path / "videos", ["clip"])
    ended = command_without(*missing, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    said = "coreframe: the command needs more packages: pip install 'coreframe[run]'.\n"
    assert ended.stderr == said
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


@pytest.mark.integration
def test_other_modules_are_reported_as_they_are(tmp_path: Path) -> None:
    ended = command_without("pydantic", folder=tmp_path)
    assert ended.returncode == 1
    assert "ModuleNotFoundError: import of pydantic halted" in ended.stderr
    assert "coreframe[run]" not in ended.stderr


def test_the_modules_are_those_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(one) for one in project["optional-dependencies"]["run"]]
    always = {canonicalize_name(one.name) for one in wanted if one.marker is None}
    modules = {
        module
        for module, names in packages_distributions().items()
        if always & {canonicalize_name(name) for name in names} and not module.startswith("_")
    }
    assert modules == RUN_MODULES
