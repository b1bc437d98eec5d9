import glob
import os
from pathlib import Path

import pytest

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.discover import discover
from coreframe.tasks.video.listing import Unread
from tests.powers import obeying_modes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mp4", "sub/c.mkv", "sub/.hidden.mp4", ".cache/d.mp4", "notes.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(*args, **kwargs) -> list[str]:
    return [file.name for file in discover(*args, **kwargs)]


def test_folder_is_searched_recursively_in_order_without_hidden_files(folder: Path) -> None:
    assert names([str(folder)]) == ["a.mp4", "b.mp4", "notes.txt", "sub/c.mkv"]


def test_include_and_exclude_match_name_or_base_name(folder: Path) -> None:
    assert names([str(folder)], include=["*.mp4", "c.*"], exclude=["b*"]) == ["a.mp4", "sub/c.mkv"]


def test_glob_names_are_relative_to_its_fixed_part(folder: Path) -> None:
    assert names([f"{folder}/**/*.m*"]) == ["a.mp4", "b.mp4", "sub/c.mkv"]


def test_file_given_twice_and_through_a_link_is_listed_once(folder: Path) -> None:
    (folder / "link.mp4").symlink_to(folder / "a.mp4")
    assert names([str(folder / "a.mp4"), str(folder)]).count("a.mp4") == 1
    assert "link.mp4" not in names([str(folder / "a.mp4"), str(folder)])


def test_link_to_a_parent_folder_ends(folder: Path) -> None:
    (folder / "sub" / "loop").symlink_to(folder)
    assert names([str(folder)]) == ["a.mp4", "b.mp4", "notes.txt", "sub/c.mkv"]


def test_ignored_folder_is_not_entered(folder: Path) -> None:
    assert names([str(folder)], ignore=[folder / "sub"]) == ["a.mp4", "b.mp4", "notes.txt"]


def test_only_named_files_are_explicit(folder: Path) -> None:
    files = discover([str(folder / "a.mp4"), str(folder)])
    assert {file.name: file.explicit for file in files} == {
        "a.mp4": True,
        "b.mp4": False,
        "notes.txt": False,
        "sub/c.mkv": False,
    }


def test_list_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (tmp_path / "list.txt").write_text(f"sub/c.mkv\n\n{folder / 'a.mp4'}\n")
    assert names([], files_from=str(tmp_path / "list.txt")) == ["sub/c.mkv", "a.mp4"]


@pytest.mark.parametrize("given", ["nowhere.mp4", "no/such/folder"])
def test_missing_input_is_named(given: str) -> None:
    with pytest.raises(UsageError, match=given):
        discover([given])


def test_missing_list_is_named() -> None:
    with pytest.raises(UsageError, match=r"list\.txt"):
        discover([], files_from="no/list.txt")


def test_folder_given_itself_is_searched_though_it_is_ignored_from_above(folder: Path) -> None:
    assert "a.mp4" in names([str(folder)], ignore=[folder])


def test_file_named_after_its_folder_is_still_explicit(folder: Path) -> None:
    files = discover([str(folder), str(folder / "a.mp4")])
    assert [file.name for file in files if file.explicit] == ["a.mp4"]


def test_names_with_strange_line_ends_survive_in_a_list(tmp_path: Path) -> None:
    odd = tmp_path / "a\u2028b\x0bc.mp4"
    odd.touch()
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + str(odd).encode() + b"\r\n")
    assert names([], files_from=str(tmp_path / "list.txt")) == [odd.name]


def test_list_may_hold_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{folder}\n")
    assert "sub/c.mkv" in names([], files_from=str(tmp_path / "list.txt"))


def test_what_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not a regular file"):
        discover([str(tmp_path / "pipe.mp4")])
    with pytest.raises(UsageError, match="not UTF-8"):
        discover([], files_from=str(tmp_path / "list.txt"))
    with pytest.raises(UsageError, match="too long"):
        discover(["a" * 300])


def test_what_cannot_be_looked_at_in_a_folder_is_told_once_and_the_rest_is_found(
    folder: Path,
) -> None:
    (folder / "locked" / "deep").mkdir(parents=True)
    (folder / "locked" / "deep" / "x.mp4").touch()
    (folder / "gone.mp4").symlink_to(folder / "no such")
    (folder / "round.mp4").symlink_to("round.mp4")
    (folder / "locked").chmod(0)
    expected = {
        str(folder / "locked"): "Permission denied",
        str(folder / "gone.mp4"): "it links to nothing",
        str(folder / "round.mp4"): "Too many levels of symbolic links",
    }
    here = str(folder)
    with obeying_modes():
        for given in ([here], [here, here], [f"{here}/*"], [f"{here}/**"], [f"{here}/**/*.m*"]):
            told: list[Unread] = []
            found = names(given, tell=told.append)
            assert {*found} - {"notes.txt"} == {"a.mp4", "b.mp4", "sub/c.mkv"}
            assert {one.path: one.why for one in told} == expected
            assert len(told) == 3
    (folder / "locked").chmod(0o700)


def test_globs_match_what_pythons_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sub/deep/er/a.mp4", "sub/deep/b.mp4", "a[1].mp4", ".dot/e.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.chdir(folder)
    for pattern in (
        *("*.mp4", "**/*.mp4", "**/b.mp4", "*/deep/*", "s?b/*", "**/deep/**/*.mp4", "sub/**/er/*"),
        *(".*/*.mp4", "*/.hidden*", "*.[m]p4", "../in/*.mp4", "**/../a.mp4", "none*", "*/none/*"),
    ):
        found = {Path(file.path).resolve() for file in discover([pattern])}
        matched = {Path(one).resolve() for one in glob.glob(pattern, recursive=True)}
        inside = {one for path in matched if path.is_dir() for one in path.rglob("[!.]*")}
        assert found == {one for one in matched | inside if one.is_file()}, pattern


def test_loops_of_links_end_in_globs_too(folder: Path) -> None:
    for name in ("loop", "pool"):
        (folder / "sub" / name).symlink_to(folder)
    assert sorted(names([f"{folder}/**/*.m*"])) == ["a.mp4", "b.mp4", "sub/c.mkv"]


def test_paths_longer_than_the_system_allows_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=here)
        inside = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inside
    os.close(os.open("x.mp4", os.O_CREAT, dir_fd=here))
    os.close(here)
    told: list[Unread] = []
    assert names([str(tmp_path)], tell=told.append) == ["a.mp4"]
    assert [one.why for one in told] == ["File name too long"]


def test_a_list_with_nul_characters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a.mp4\0b.mp4\0")
    with pytest.raises(UsageError, match="NUL"):
        discover([], files_from=str(tmp_path / "list.txt"))
