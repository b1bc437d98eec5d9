"""What pip makes of the extras: with the newest of everything, and with what the tests ran with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("constrained", [False, True], ids=["newest", "tested"])
def test_the_extras_for_clusters_go_with_prefect(constrained: bool, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    constraints = ["--constraint", "deployments/constraints.txt"] if constrained else []
    command = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
    command += [*constraints, ".[run,kubernetes,slurm]"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution found" in done.stderr and "setuptools" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr[-3000:]
    found = {
        one["metadata"]["name"].lower(): Version(one["metadata"]["version"])
        for one in json.loads(report.read_text())["install"]
    }
    assert found["python-dateutil"] < Version("3")
    assert found["prefect"] >= Version("3.8.8")
    assert {"kubernetes", "dask-jobqueue"} <= set(found)
