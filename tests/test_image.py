"""What `deployments/Dockerfile` builds, without Docker: its context and what it copies of it."""

import os
import shlex
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deployments" / "Dockerfile"


def copied() -> list[str]:
    """The patterns that the Dockerfile copies into the image."""
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    return [one for line in lines if line.startswith("COPY ") for one in shlex.split(line)[1:-1]]


def in_context(path: str) -> bool:
    """Whether `.dockerignore` lets a file in: the last rule decides that fits it or a parent."""
    parts = path.split("/")
    parents = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    inside = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        found = parents if pattern == anywhere else parts
        if any(fnmatch(one, anywhere) and one.count("/") == anywhere.count("/") for one in found):
            inside = rule.startswith("!")
    return inside


def test_what_the_image_needs_is_in_its_context_and_copied() -> None:
    patterns = copied()
    for pattern in patterns:
        assert list(ROOT.glob(pattern)), f"the Dockerfile copies {pattern}, which is not there"
    needed = ["pyproject.toml", "deployments/constraints.txt", "deployments/prefect.yaml"]
    needed += [
        "flows/cli.py",
        "flows/interactive/__init__.py",
        "tasks/report/templates/report.html.j2",
    ]
    needed += [f"data/{path.name}" for path in (ROOT / "data").glob("*.py")]
    for path in needed:
        assert in_context(path), path
        assert any(
            path == one or fnmatch(path, one) or path.startswith(f"{one}/") for one in patterns
        )


def test_the_context_of_the_image_is_small() -> None:
    """A virtual environment in the checkout alone has 1.8 GB."""
    for path in (".venv/bin/python", ".git/HEAD", "data/demo-store/zarr.json", "tests/videos.py"):
        assert not in_context(path), path
    for path in ("flows/__pycache__/cli.cpython-311.pyc", "tasks/x/__pycache__/y.pyc"):
        assert not in_context(path), path
    total_bytes = 0
    for folder, folders, files in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        if inside == Path():
            folders[:] = [name for name in folders if in_context(name) or name == "data"]
        names = [(inside / name).as_posix() for name in files]
        total_bytes += sum((ROOT / name).stat().st_size for name in names if in_context(name))
    assert 5 * 10**5 < total_bytes < 5 * 10**6


def test_compose_ships_no_password_and_listens_for_this_machine_only() -> None:
    text = (ROOT / "deployments" / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    for service in services.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "AUTH_STRING")):
                assert value.startswith("${"), name
                assert ":?" in value, f"{name} has a value that everyone knows"
    assert "PREFECT_SERVER_API_AUTH_STRING" in services["server"]["environment"]
