from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.video.indexing import index_video
from tests.videos import Recipe, make, make_audio


@pytest.mark.parametrize(
    ("file", "frames", "surveyed", "seekable"),
    [
        ("closed_gop.mp4", 40, False, True),
        ("open_gop.mp4", 40, False, True),
        ("transport.ts", 40, False, True),
        ("times_guessed.avi", 40, True, False),
        ("times_missing.h264", 40, True, False),
        ("one_frame.mp4", 1, False, True),
    ],
)
def test_how_a_file_is_indexed(
    file: str, frames: int, surveyed: bool, seekable: bool, made_videos: dict[str, Path]
) -> None:
    _, index = index_video(made_videos[file])
    assert (len(index), index.surveyed, index.seekable) == (frames, surveyed, seekable)
    assert np.all(np.diff(index.pts) > 0)
    assert index.frame_index.tolist() == list(range(frames))


def test_times_of_late_and_variable_rate_files(made_videos: dict[str, Path]) -> None:
    _, late = index_video(made_videos["late_start.mp4"])
    assert np.allclose(late.time_s(), 0.04 * np.arange(40), atol=1e-3)  # as players count
    assert late.pts[0] * late.time_base == 5
    _, variable = index_video(made_videos["variable_rate.mkv"])
    made = np.array([i * 30 + (i * i) % 17 for i in range(40)]) / 1000
    assert np.allclose(variable.time_s(), made, atol=1e-3)


def test_files_without_usable_times_get_the_frame_rate(made_videos: dict[str, Path]) -> None:
    for file, delay_s in (("times_guessed.avi", 0.08), ("times_missing.h264", 0)):
        facts, index = index_video(made_videos[file])
        # AVI has decoding times only: B-frames delay what is shown, for players too
        assert np.allclose(index.time_s(), delay_s + np.arange(40) / 25)
        assert facts.note


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_empty_and_garbage_videos_are_broken(suffix: str, tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("garbage", bytes(range(256)) * 99)):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises(BrokenVideoError):
            index_video(path)


def test_truncated_file_keeps_what_can_be_read(tmp_path: Path) -> None:
    whole = make(Recipe("whole.mkv", "ffv1"), tmp_path)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, index = index_video(cut)
    assert 5 < len(index) < 40


def test_what_is_no_video_is_told_from_what_is_broken(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a video\n")
    audio = make_audio(tmp_path / "sound.wav")
    picture = make(Recipe("still.png", "png", frames=1, pixel_format="rgb24"), tmp_path)
    for path in (text, audio, picture):
        with pytest.raises(NotAVideoError):
            index_video(path)


def test_rotated_file_has_upright_size(real_videos: Path) -> None:
    facts, _ = index_video(real_videos / "issue-134-rotate.mp4")
    assert (facts.width, facts.height, facts.rotation) == (544, 1280, -90)


def test_playlist_cannot_lead_to_other_files(made_videos: dict[str, Path], tmp_path: Path) -> None:
    playlist = tmp_path / "list.ffconcat"
    playlist.write_text(f"ffconcat version 1.0\nfile {made_videos['closed_gop.mp4']}\n")
    with pytest.raises(NotAVideoError):
        index_video(playlist)


def test_best_stream_is_taken_as_ffmpeg_does(real_videos: Path) -> None:
    _, index = index_video(real_videos / "nasa_13013.mp4")
    with av.open(str(real_videos / "nasa_13013.mp4")) as container:
        assert len(container.streams.video) == 2
    assert len(index) == 390
