"""The documents: links lead somewhere, and what they name is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    if not path.relative_to(ROOT).parts[0].startswith(".")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED_PATH = re.compile(
    r"`((?:\.ci|benchmarks|deployments|findings|flows|tasks|tests)/[\w./-]*|\w+\.(?:md|toml))`"
)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_documents() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {path.name for path in DOCUMENTS}
    assert len(DOCUMENTS) > 8


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(CODE.sub("", path.read_text())):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        if anchor:
            document = target / "README.md" if target.is_dir() else target
            assert anchor in anchors(document), link


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "tasks/README.md", "benchmarks/README.md"])
def test_files_that_are_named_are_there(name: str) -> None:
    named = NAMED_PATH.findall((ROOT / name).read_text())
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_every_folder_has_its_line_in_the_map() -> None:
    text = (ROOT / "tasks" / "README.md").read_text()
    for init in (ROOT / "tasks").glob("*/__init__.py"):
        name = init.parent.name
        assert f"[{name}]({name}" in text, name
    for module in (ROOT / "tasks").glob("*.py"):
        assert module.name == "__init__.py" or f"`{module.name}`" in text, module.name
    for module in (ROOT / "flows").glob("*.py"):
        assert module.name == "__init__.py" or f"`{module.stem}`" in text, module.name


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


def test_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## .*{re.escape(version)}", (ROOT / "CHANGELOG.md").read_text(), re.M)
