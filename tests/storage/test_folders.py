"""A name that leads out of a folder is refused; a link in it is not followed to change things."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import Folder, open_folder

AWAY = ["../out", "a/../../out", "/etc/passwd", "", ".", "..", "a//b", "a/", "a/./b", "a\0b", "/"]

ASKS: dict[str, Callable[[Folder, str], object]] = {
    "read": lambda folder, name: folder.read(name),
    "write": lambda folder, name: folder.write(name, b"changed"),
    "delete": lambda folder, name: folder.delete(name),
    "exists": lambda folder, name: folder.exists(name),
    "create": lambda folder, name: folder.swap(name, None, b"changed"),
    "swap": lambda folder, name: folder.swap(name, b"kept", b"changed"),
    "names": lambda folder, name: folder.names(name or ".."),
}


@pytest.fixture(params=["disk", "s3"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Folder:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    place = "s3://bucket/folder" if request.param == "s3" else tmp_path / "folder"
    return open_folder(place)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("name", AWAY)
def test_a_name_that_leads_elsewhere_is_refused(
    name: str, ask: str, folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"kept")
    with pytest.raises(CoreframeError, match=f"would lead out of {folder.name}: ") as refused:
        ASKS[ask](folder, name)
    assert "\0" not in str(refused.value)
    assert (tmp_path / "out").read_bytes() == b"kept"


@pytest.mark.parametrize("ask", ["write", "delete", "create", "swap"])
def test_nothing_is_changed_behind_a_link_that_leads_out(ask: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"kept")
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")  # the folder itself may be a link
    folder = open_folder(tmp_path / "folder")
    folder.write("inner/x", b"1")
    (tmp_path / "real" / "linked").symlink_to(outside)
    name = "linked/new" if ask == "create" else "linked/x"
    with pytest.raises(CoreframeError, match=r"linked/.* lies in .*outside.* by a link"):
        ASKS[ask](folder, name)
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("x", b"kept")]


def test_a_link_itself_is_replaced_or_deleted_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"kept")
    folder = open_folder(tmp_path / "folder")
    folder.write("y", b"1")
    for name, there in {"file": outside / "x", "folder": outside}.items():
        (tmp_path / "folder" / name).symlink_to(there)
    folder.write("file", b"own")
    assert not (tmp_path / "folder" / "file").is_symlink()
    folder.delete("folder")
    folder.delete("file")
    assert folder.names() == ["y"]
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("x", b"kept")]
