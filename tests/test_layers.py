"""Layers: every package imports only what is below it, and the engines only where they belong."""

import ast
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from tests.stores import make_store

ROOT = Path(__file__).parents[1]
ENGINES = {"prefect", "dask", "distributed", "dask_cuda"}
BASE = {"errors", "names", "scale", "lattice", "device", "watchdog", "status", "lazy"}
BELOW = {
    "storage": BASE,
    "video": BASE | {"storage"},
    "gpu_video": BASE | {"video"},
    "store": BASE | {"storage", "video"},
    "embedders": BASE | {"video"},
    "columns": BASE | {"storage", "video", "store"},
    "kcenter": BASE | {"store", "engine"},
    "neighbours": BASE | {"store", "engine", "kcenter"},
    "facility": BASE | {"store", "engine", "kcenter"},
    "engine": BASE,
    "output": BASE | {"storage", "store", "video", "kcenter", "select"},
    "datasets": BASE | {"storage", "store", "output"},
    "query": BASE | {"store", "video", "embedders", "kcenter", "engine"},
    "index": BASE | {"storage", "store", "video", "engine"},
    "embed": BASE | {"storage", "store", "video", "gpu_video", "embedders", "engine"},
    "objects": BASE | {"store", "video", "embedders", "engine", "output"},
    "select": BASE | {"store", "kcenter", "neighbours", "facility", "engine", "query"},
    "export": BASE | {"storage", "store", "video", "engine", "output", "select"},
    "measure": BASE | {"store", "kcenter", "engine", "output", "select"},
    "report": BASE
    | {"store", "video", "kcenter", "neighbours", "engine", "query", "columns", "output", "select"},
    "train": BASE
    | {"storage", "store", "video", "embedders", "engine", "output", "select", "report"},
    "forget": BASE | {"storage", "store", "neighbours", "select", "engine", "output"},
    "check": BASE | {"storage", "store", "video", "neighbours", "engine"},
}
"""What each package of `tasks` may import of the others: a stage uses nouns, never a stage's
`task` or `job`; `select`, read by the stages after it, says what may be chosen and what was."""

WITH_ENGINES = {"report/gather.py", "kcenter/on_dask.py", "query/on_dask.py"}
"""Modules of `tasks` that import Prefect or Dask, beside every ``task.py`` and `engine`."""

OPENING = {
    "coreframe.tasks.store.decoding",
    *(
        f"coreframe.tasks.video.{name}"
        for name in ("census", "container", "decode", "deinterlace", "demux", "indexing")
    ),
    "coreframe.tasks.video.kept_open",
    "coreframe.tasks.gpu_video.decoder",
}
"""Modules that open videos, which may crash or hang whoever does."""

MAY_OPEN = {
    "embed/census.py",
    "embed/prepare.py",
    "gpu_video/decoder.py",
    "store/decoding.py",
    "video/kept_open.py",
    "video/look.py",
    "video/picture.py",
    *(f"{stage}/job.py" for stage in ("embed", "export", "index", "objects", "report", "train")),
    *(f"video/{name}.py" for name in ("census", "decode", "deinterlace", "demux", "indexing")),
}
"""Modules of `tasks` that use these: what workers run, and `look` and `picture`, processes
of their own."""


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, or of what may be one."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules(top: str) -> list[Path]:
    found = sorted((ROOT / top).rglob("*.py"))
    assert len(found) > 10, "the folders have moved: this test looks at nothing"
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def place(path: Path) -> str:
    """Of a module of `tasks`: its folder there, or its own name at the top."""
    parts = path.relative_to(ROOT / "tasks").with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", modules("tasks"), ids=name_of)
def test_module_of_tasks_imports_only_what_is_below_it(path: Path) -> None:
    own = place(path)
    allowed = BELOW.get(own, BASE) | {own}
    stage_parts = ("task", "job")
    for name in imports(path):
        first, *rest = name.split(".")
        if first != "coreframe":
            assert first not in {"flows", "tasks", "tests"}, f"{path} imports {name}"
            continue
        assert rest[0] == "tasks", f"{path} imports {name}"
        if len(rest) == 1:
            continue
        assert rest[1] in allowed, f"{path} imports {name}"
        if rest[1] != own and len(rest) > 2 and rest[1] not in {"kcenter"}:
            assert rest[2] not in stage_parts, f"{path} imports another stage's {name}"


@pytest.mark.parametrize("path", modules("tasks"), ids=name_of)
def test_engines_are_imported_at_the_edge_only(path: Path) -> None:
    inside = str(path.relative_to(ROOT / "tasks"))
    used = {name.split(".")[0] for name in imports(path)} & ENGINES
    edge = path.name == "task.py" or place(path) == "engine" or inside in WITH_ENGINES
    assert edge or not used, f"{path} imports {used}"


@pytest.mark.parametrize("path", modules("flows") + modules("tasks"), ids=name_of)
def test_videos_are_opened_only_where_a_process_may_be_ended(path: Path) -> None:
    """A file can make FFmpeg wait for ever: what people wait for is never where that happens."""
    inside = str(path.relative_to(ROOT / path.relative_to(ROOT).parts[0]))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
            assert inside == "video/container.py", f"{path} opens files by itself"
    opening = {name.rpartition(".")[0] for name in imports(path)} & OPENING
    decoder = path == ROOT / "flows" / "interactive" / "decoder.py"  # a process of its own, too
    if "flows" in path.relative_to(ROOT).parts:
        assert decoder or not opening, f"{path} uses {opening}"
    else:
        assert inside in MAY_OPEN or not opening, f"{path} uses {opening}"
    jobs = {name for name in imports(path) if ".report.job." in name and ".shr" in name}
    assert decoder or inside == "report/gather.py" or not jobs, f"{path} uses {jobs}"


def test_every_package_of_tasks_has_its_place() -> None:
    packages = {path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py")}
    assert packages == set(BELOW)


def test_no_circle_among_packages() -> None:
    left = {name: set(below) & set(BELOW) for name, below in BELOW.items()}
    while left:
        free = {name for name, below in left.items() if not below & left.keys()}
        assert free, f"in a circle: {sorted(left)}"
        left = {name: below for name, below in left.items() if name not in free}


@pytest.mark.parametrize("path", modules("flows"), ids=name_of)
def test_flows_do_no_array_work(path: Path) -> None:
    notebook = path.parent.name == "interactive"  # whose answers are arrays
    heavy = {"zarr", "pyarrow"} | (set() if notebook else {"numpy"})
    used = {name.split(".")[0] for name in imports(path)}
    assert not used & heavy, path
    assert not used & {"flows", "tasks"}, f"{path} imports under an old name"


@pytest.mark.integration
def test_nothing_is_importable_under_a_second_name() -> None:
    """A second copy of a class is not the class: `isinstance` and pickles would fail."""
    for name in ("flows", "tasks", "coreframe.flows.interactive"):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1, name
        assert "ImportError: this folder is" in ended.stderr


def test_the_folder_that_is_tested_is_the_one_installed() -> None:
    spec = find_spec("coreframe.tasks.errors")
    assert spec is not None
    assert Path(str(spec.origin)) == ROOT / "tasks" / "errors.py"


def test_every_package_is_installed() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    there = {"coreframe"}
    for top in ("flows", "tasks"):
        for init in (ROOT / top).rglob("__init__.py"):
            there.add(".".join(("coreframe", *init.parent.relative_to(ROOT).parts)))
    assert listed == there - {"coreframe.flows.interactive"}  # which is coreframe itself


def test_no_flow_module_hides_a_library() -> None:
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not names & set(sys.stdlib_module_names)


@pytest.mark.integration
def test_workers_select_without_pandas(tmp_path: Path) -> None:
    """It would take 35 MB of each, and 0.2 s; Arrow imports it on many occasions."""
    make_store(tmp_path / "store", np.eye(8, dtype=np.int16) * 4000, [8])
    work = f"""
        import sys
        from pathlib import Path
        import numpy as np
        import coreframe.tasks.measure.pairwise
        from coreframe.tasks.kcenter import job as select
        from coreframe.tasks.kcenter.job import Before, PartitionJob

        def job(*rows):
            rows = np.array(rows)
            return PartitionJob({str(tmp_path / "store")!r}, rows, 1, None, None, "cpu", None)

        folder = Path({str(tmp_path)!r})
        centers = np.array([1]), np.eye(8, dtype=np.int16)[1:2] * 4000
        part = select.assign_centers(select.load_partition(job(0, 1, 2, 3)), centers, False)
        assert select.save_partition(part, folder, centers[0], 0) == 4
        np.save(folder / "centers.npy", centers[1])
        np.save(folder / "center-rows.npy", centers[0])
        before = Before(folder, np.empty(0, np.int64), np.array([2]))
        part = select.load_partition(job(0, 1, 2, 3, 4, 5), before)
        assert part.distance.count_nonzero() == 4
        sys.exit("pandas" in sys.modules)
    """
    command = [sys.executable, "-c", dedent(work)]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("path", modules("flows") + modules("tasks"), ids=name_of)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path} holds more than one subject: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 70, f"{path}: {node.name} is too long"
