"""What is damaged or missing is known: smears, lost packets, files that are cut."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.indexing import index_video
from tests.videos import Recipe, make, sequential_rgb

STREAM = Recipe("sound.ts", frames=60, gop=12, options={"bf": "2"}, width=160, height=120)


def without_some_packets(source: Path, target: Path, seed: int, share: float = 0.06) -> Path:
    """Lose transport packets of the pictures, as a bad antenna does."""
    data, rng = source.read_bytes(), random.Random(seed)
    parts = [data[at : at + 188] for at in range(0, len(data), 188)]
    kept = [
        part
        for number, part in enumerate(parts)
        if number < 4 or int.from_bytes(part[1:3], "big") & 0x1FFF != 256 or rng.random() > share
    ]
    target.write_bytes(b"".join(kept))
    return target


@pytest.mark.parametrize("seed", range(4))
def test_every_smeared_frame_is_suspect(seed: int, tmp_path: Path) -> None:
    sound = make(STREAM, tmp_path)
    truth = {image.tobytes() for image in sequential_rgb(sound)}
    lossy = without_some_packets(sound, tmp_path / "lossy.ts", seed)
    facts, index = index_video(lossy)
    assert index.suspect is not None
    assert "are suspect" in facts.note
    shown = sequential_rgb(lossy)
    for image, suspect in zip(shown, index.suspect[index.frame_index >= 0], strict=True):
        assert suspect or image.tobytes() in truth


def test_what_follows_a_sound_keyframe_is_sound(tmp_path: Path) -> None:
    sound = make(STREAM, tmp_path)
    data = bytearray(sound.read_bytes())
    with av.open(str(sound)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    hurt = next(p for p in packets[16:] if not p.is_keyframe)
    assert hurt.pos is not None
    place = hurt.pos + 188 * (-(-hurt.size // 188) // 2)
    del data[place - place % 188 : place - place % 188 + 188]  # a packet in the middle of it
    lossy = tmp_path / "lossy.ts"
    lossy.write_bytes(data)
    _, index = index_video(lossy)
    assert index.suspect is not None
    suspect = np.flatnonzero(index.suspect)
    keys = np.flatnonzero(index.key)
    assert suspect.min() > 0
    assert suspect.max() < keys[keys > suspect.min()].min() + 1  # up to the next keyframe


def test_sound_recordings_that_are_joined_or_cut_are_not_suspect(tmp_path: Path) -> None:
    sound = make(STREAM, tmp_path)
    joined, cut = tmp_path / "joined.ts", tmp_path / "cut.ts"
    joined.write_bytes(2 * sound.read_bytes())
    cut.write_bytes(sound.read_bytes()[: 188 * 60])
    for path, surveyed in ((joined, True), (cut, False)):
        _, index = index_video(path)
        assert index.suspect is None
        assert index.surveyed == surveyed


def half(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return target


def first_in(source: Path, target: Path) -> Path:
    """The index before the pictures, and then only a part of these."""
    with av.open(str(source)) as old:
        options = {"movflags": "faststart"}
        with av.open(str(target), "w", options=options) as new:
            stream = old.streams.video[0]
            copy = new.add_stream_from_template(stream)
            for packet in old.demux(stream):
                if packet.size:
                    packet.stream = copy
                    new.mux(packet)
    target.write_bytes(target.read_bytes()[: int(target.stat().st_size * 0.7)])
    return target


@pytest.mark.parametrize(("suffix", "cut"), [("mp4", first_in), ("mkv", half), ("avi", half)])
def test_frames_that_a_container_promises_are_missed(
    suffix: str, cut: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    sound = make(replace(STREAM, file=f"sound.{suffix}", codec="mpeg2video"), tmp_path)
    assert index_video(sound)[0].missing == 0
    facts, index = index_video(cut(sound, tmp_path / f"cut.{suffix}"))
    assert 0 < facts.missing < 60
    assert facts.missing + len(index) == pytest.approx(60, abs=2)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov", "flv", "webm"])
def test_sound_files_lack_nothing(suffix: str, tmp_path: Path) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    options = {"deadline": "realtime"} if suffix == "webm" else {"bf": "2"}
    recipe = replace(STREAM, file=f"sound.{suffix}", codec=codec, options=options)
    facts, index = index_video(make(recipe, tmp_path))
    assert (facts.missing, len(index)) == (0, 60)


def test_leading_pictures_of_a_recording_are_no_damage(tmp_path: Path) -> None:
    options = {"x265-params": "keyint=12:min-keyint=12:open-gop=1:bframes=3:log-level=none"}
    whole = make(Recipe("whole.ts", "libx265", frames=60, options=options), tmp_path)
    cut = tmp_path / "tuned_in.ts"
    with av.open(str(whole)) as old, av.open(str(cut), "w") as new:
        stream, keys = old.streams.video[0], 0
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            keys += packet.is_keyframe
            if keys > 1 and packet.size:
                packet.stream = copy
                new.mux(packet)
    facts, index = index_video(cut)
    assert not index.surveyed
    assert "leading picture" in facts.note
    truth = sequential_rgb(cut)
    assert len(index) == len(truth)
    assert len(list(decode_frames(cut, index, np.arange(len(index))))) == len(truth)


def test_a_stream_that_appears_late_costs_no_frame(tmp_path: Path) -> None:
    """PyAV 18.1 raises IndexError at the end of such a file."""
    path = tmp_path / "late.flv"
    sound = make(replace(STREAM, file="sound.flv"), tmp_path)
    data = sound.read_bytes()
    audio = bytes([8, 0, 0, 2, 0, 0x30, 0, 0, 0, 0, 0, 0x22, 0, 0, 0, 0, 13])  # one tag of sound
    path.write_bytes(data + audio)
    _, index = index_video(path)
    assert len(index) == 60
    assert len(list(decode_frames(path, index, np.arange(60)))) == 60
