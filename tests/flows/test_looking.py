"""What is found of files before a run starts anything, and after its index stage."""

from pathlib import Path
from typing import NoReturn

import av
import pytest

from coreframe.flows.outcome import check_named
from coreframe.flows.parameters import Sources
from coreframe.flows.preflight import check_corpus
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.look import Looker


def refuse(*_: object, **__: object) -> NoReturn:
    pytest.fail("a file is opened in this process")


@pytest.mark.integration
def test_files_are_not_opened_in_this_process(
    made_videos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "open", refuse)
    videos = [str(made_videos[name]) for name in ("closed_gop.mp4", "vp9.webm")]
    assert len(check_corpus(Sources(videos=videos), str(tmp_path / "store"))) == 2
    notes = tmp_path / "notes.txt"
    notes.write_text("no video")
    with pytest.raises(UsageError, match=r"notes.txt is not a video: a text\. Leave it out"):
        check_corpus(Sources(videos=[*videos, str(notes)]), str(tmp_path / "store"))
    few = Sources(videos=[videos[0]], max_frames_per_file=39)
    with pytest.raises(UsageError, match="40 frames or more, and 39 are allowed"):
        check_corpus(few, str(tmp_path / "store"))


@pytest.mark.parametrize("error", [TimeoutError, EOFError])
def test_what_hangs_or_crashes_is_left_to_the_workers(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(Looker, "look", look)
    (tmp_path / "a.mp4").touch()
    corpus = Sources(videos=[str(tmp_path / "a.mp4")])
    assert [file.name for file in check_corpus(corpus, str(tmp_path / "store"))] == ["a.mp4"]


def test_nobody_waits_for_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def look(_looker: Looker, path: str, *_: object) -> None:
        looked.append(path)

    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(Looker, "look", look)
    monkeypatch.setattr("coreframe.flows.preflight.time.monotonic", lambda: next(clock))
    paths = [tmp_path / f"{number}.mp4" for number in range(9)]
    for path in paths:
        path.touch()
    corpus = Sources(videos=[str(path) for path in paths])
    assert len(check_corpus(corpus, str(tmp_path / "store"))) == 9
    assert looked == [str(path) for path in paths[:2]]


def named(name: str, explicit: bool, state: VideoState) -> tuple[SourceFile, Video]:
    video = Video(0, name, f"/{name}", "0", 1, state, reason="a text")
    return SourceFile(name, f"/{name}", explicit), video


REFUSED: dict[str, tuple[list[tuple[str, bool, VideoState]], str]] = {
    "named itself": (
        [("a", True, VideoState.PENDING), ("b", True, VideoState.SKIPPED)],
        r"/b is not a video: a text\. Leave it out",
    ),
    "none": (
        [("a", False, VideoState.SKIPPED), ("b", False, VideoState.SKIPPED)],
        r"no videos found in folder \(2 files looked at\); a: a text; b: a text",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_workers_found_is_refused_after_all(case: str) -> None:
    given, words = REFUSED[case]
    files, videos = zip(*(named(*one) for one in given), strict=True)
    with pytest.raises(UsageError, match=words):
        check_named(files, videos, Sources(videos=["folder"]))


def test_what_is_skipped_in_a_folder_is_no_mistake() -> None:
    given = [("a", False, VideoState.SKIPPED), ("b", False, VideoState.BROKEN)]
    files, videos = zip(*(named(*one) for one in given), strict=True)
    check_named(files, videos, Sources(videos=["folder"]))
