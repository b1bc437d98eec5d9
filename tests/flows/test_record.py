"""What is written about a run."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from coreframe.flows import record


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coreframe may run from its folder, on a machine where nobody installed it."""
    found = record.versions()
    assert found["coreframe"] == version("coreframe")
    assert found["torch"] == version("torch")

    def missing(name: str) -> str:
        if name in ("coreframe", "transformers"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(record, "version", missing)
    bare = record.versions()
    assert bare["coreframe"] == "not installed"
    assert found.keys() - bare.keys() <= {"transformers"}
