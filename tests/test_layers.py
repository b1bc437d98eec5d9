"""Layers: flows use tasks, stages use jobs, and the rest knows neither Prefect nor Dask."""

import ast
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from tests.stores import make_store

ROOT = Path(__file__).parents[1]
ENGINES = {"prefect", "dask", "distributed", "dask_cuda"}
BELOW = {
    "storage": {"tasks.errors"},
    "video": {"tasks.errors", "tasks.storage"},
    "store": {"tasks.errors", "tasks.lattice", "tasks.storage", "tasks.video"},
    "embedding": {"tasks.errors", "tasks.lattice", "tasks.video"},
    "selection": {"tasks.errors", "tasks.lattice"},
    "metrics": {"tasks.lattice"},
    "datasets": {"tasks.errors", "tasks.lattice", "tasks.storage", "tasks.store"},
    "reporting": {"tasks.errors", "tasks.store"},
    "training": {"tasks.embedding"},
    "jobs": {f"tasks.{name}" for name in ("errors", "storage", "video", "store", "embedding")}
    | {"tasks.selection", "tasks.metrics", "tasks.training"},
}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("package", sorted(BELOW))
def test_package_imports_only_what_is_below_it(package: str) -> None:
    allowed = BELOW[package] | {f"tasks.{package}"}
    files = list((ROOT / "tasks" / package).glob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            assert name.split(".")[0] not in ENGINES, f"{path} imports {name}"
            assert not name.startswith("flows"), f"{path} imports {name}"
            if name.startswith("tasks"):
                assert any(name == ok or name.startswith(f"{ok}.") for ok in allowed), (
                    f"{path} imports {name}"
                )


def test_workers_select_without_pandas(tmp_path: Path) -> None:
    """It would take 35 MB of each, and 0.2 s; Arrow imports it on many occasions."""
    make_store(tmp_path / "store", np.eye(8, dtype=np.int16) * 4000, [8])
    work = f"""
        import sys
        from pathlib import Path
        import numpy as np
        import tasks.metrics.pairwise
        from tasks.jobs import select
        from tasks.jobs.select import Before, PartitionJob

        def job(*rows):
            rows = np.array(rows)
            return PartitionJob({str(tmp_path / "store")!r}, rows, 1, None, None, "cpu", None)

        folder = Path({str(tmp_path)!r})
        centers = np.array([1]), np.eye(8, dtype=np.int16)[1:2] * 4000
        part = select.assign(select.load_partition(job(0, 1, 2, 3)), centers, False)
        assert select.save_partition(part, folder, 0, centers[0]) == 4
        np.save(folder / "centers.npy", centers[1])
        np.save(folder / "center-rows.npy", centers[0])
        before = Before(folder, np.empty(0, np.int64), np.array([2]))
        part = select.load_partition(job(0, 1, 2, 3, 4, 5), before)
        assert part.distance.count_nonzero() == 4
        sys.exit("pandas" in sys.modules)
    """
    command = [sys.executable, "-c", dedent(work)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_stages_do_not_import_flows() -> None:
    for path in (ROOT / "tasks").glob("*.py"):
        assert not any(name.startswith("flows") for name in imports(path)), path


def test_flows_do_no_array_work() -> None:
    for path in (ROOT / "flows").glob("*.py"):
        assert not imports(path) & {"numpy", "zarr", "pyarrow"}, path


def test_every_package_is_installed() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    for init in ROOT.glob("tasks/**/__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT).parts)
        assert f'"{package}"' in listed, f"{package} is not among the packages of pyproject.toml"


def test_no_flow_module_hides_a_library() -> None:

    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not names & set(sys.stdlib_module_names)
