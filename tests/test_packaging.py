"""What is installed: the wheel's and the sdist's content, and what the project says it needs."""

import ast
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BROUGHT = {
    "prefect": {"uvicorn"},
    "pydantic": {"pydantic-core"},
    "transformers": {"huggingface-hub"},
}
"""What a package brings that is used under its own name, and always will be."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def third_party(folder: Path) -> set[str]:
    """The top-level modules of others that the code of a folder imports, wherever it does."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"coreframe"}


def test_every_package_that_is_imported_is_asked_for() -> None:
    asked = names([*PROJECT["dependencies"], *(one for some in EXTRAS.values() for one in some)])
    asked |= {brought for one, others in BROUGHT.items() if one in asked for brought in others}
    installed = packages_distributions()
    for module in third_party(ROOT / "flows") | third_party(ROOT / "tasks"):
        if module == "umap":  # the extra map, which the tests do without
            continue
        owners = {canonicalize_name(name) for name in installed[module]}
        assert owners & asked, f"{module} is imported, but no dependency"


def test_the_tested_set_is_exact_and_within_what_is_asked_for() -> None:
    lines = (ROOT / "deployments" / "constraints.txt").read_text().splitlines()
    tested = {}
    for one in (Requirement(line) for line in lines if not line.startswith("#")):
        (exact,) = one.specifier
        assert exact.operator == "==", one
        tested[canonicalize_name(one.name)] = exact.version
    extras = [one for name in ("run", "hf", "kubernetes", "slurm") for one in EXTRAS[name]]
    for one in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert one.specifier.contains(tested[canonicalize_name(one.name)]), one


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it, as an index's client does."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    wanted = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "flows", "tasks")
    source.mkdir()
    for name in wanted:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    _build("sdist", source, folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    _build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)
    return folder


def _build(kind: str, source: Path, into: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)


@pytest.mark.integration
def test_the_wheel_holds_coreframe_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist()}
    facts = f"coreframe-{PROJECT['version']}.dist-info"
    assert {path.parts[0] for path in held} == {"coreframe", facts}
    there = {
        Path("coreframe", *path.relative_to(ROOT).parts)
        for top in ("flows", "tasks")
        for path in (ROOT / top).rglob("*")
        if path.suffix in {".py", ".j2", ".js", ".css"} and path.parent.name != "interactive"
    }
    there |= {Path("coreframe", path.name) for path in (ROOT / "flows/interactive").glob("*.py")}
    assert {path for path in held if path.parts[0] == "coreframe"} == there
    assert {Path(facts, "licenses", name) for name in ("LICENSE", "NOTICE")} <= held


@pytest.mark.integration
def test_the_wheel_works_beside_modules_of_the_same_names(built: Path, tmp_path: Path) -> None:
    """Many projects have a `tasks.py` or a `flows` of their own, and import from where they are."""
    (wheel,) = built.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    project = tmp_path / "project"
    (project / "flows").mkdir(parents=True)
    for name in ("tasks.py", "flows/__init__.py"):
        (project / name).write_text("raise ImportError('of another project')\n")
    code = f"""
import sys
sys.path.insert(1, {str(installed)!r})  # before the checkout, after this folder
import coreframe, coreframe.flows, coreframe.tasks.storage.files
assert coreframe.__file__.startswith({str(installed)!r}), coreframe.__file__
assert coreframe.open.__module__ == "coreframe.corpus"
print(coreframe.__version__)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert (ended.stdout.strip(), ended.returncode) == (PROJECT["version"], 0), ended.stderr
