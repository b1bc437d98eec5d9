"""Frames that stay on a device give what the same frames give in memory, to the bit."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame

from coreframe.tasks.gpu_video import decoder
from coreframe.tasks.gpu_video.decoder import NotOnGpuError, proven, reduced_frames, refusal
from coreframe.tasks.gpu_video.reduce import Reduced
from coreframe.tasks.gpu_video.swscale import SITINGS, Siting
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoFacts, VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.pixels import Framing, InputScaler, luminance_and_sharpness
from coreframe.tasks.video.viewing import AS_SHOWN, Crop, Margins, Orientation, Viewing
from tests.pretended_gpu import pretend
from tests.videos import Recipe, make, scenes

CPU = torch.device("cpu")
SQUARE = Framing(16)
FIRST = np.arange(1)

CASES = {
    "h264": Recipe("h264.mp4", frames=12, width=160, height=146),
    "full_range": Recipe("full.mp4", frames=12, width=160, height=146, pixel_format="yuvj420p"),
    "hevc_10_bit": Recipe(
        "ten.mp4",
        "libx265",
        frames=12,
        width=160,
        height=146,
        pixel_format="yuv420p10le",
        options={"x265-params": "log-level=none"},
    ),
    "bt709": Recipe("709.mp4", frames=12, width=160, height=146, options={"colorspace": "bt709"}),
    "bt2020": Recipe(
        "2020.mp4", frames=12, width=160, height=146, options={"colorspace": "bt2020nc"}
    ),
    "top_left": Recipe(
        "top_left.mp4", frames=12, width=160, height=146, options={"x264-params": "chromaloc=2"}
    ),
    "many_pieces": Recipe("large.mp4", frames=12, width=640, height=360),
    "odd_planes": Recipe("odd_planes.mp4", frames=12, width=322, height=242),
    "not_square": Recipe("sar.mp4", frames=12, width=160, height=146, options={"aspect": "4:3"}),
    "vp9": Recipe(
        "vp9.webm", "libvpx-vp9", frames=12, width=160, height=146, options={"cpu-used": "8"}
    ),
}

FRAMINGS = {
    "square": SQUARE,
    "middle": Framing(16, shorter_px=18, resampling="bicubic"),
    "squashed": Framing(16, squashed_px=20, resampling="bilinear"),
}


def by_cpu(
    path: Path, index: VideoIndex, wanted: np.ndarray, viewing: Viewing, framing: Framing
) -> list[Reduced]:
    scale = InputScaler(framing, viewing)
    return [
        Reduced(
            position,
            scale(frame),
            frame_digest(frame, viewing),
            *luminance_and_sharpness(frame),
        )
        for position, frame in decode_frames(path, index, wanted, viewing)
    ]


def first_frame(path: Path, index: VideoIndex, wanted: np.ndarray = FIRST) -> VideoFrame:
    ((_, frame),) = decode_frames(path, index, wanted)
    return frame


def assert_same(found: list[Reduced], expected: list[Reduced]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one._replace(image=None) == other._replace(image=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("recipe", CASES.values(), ids=CASES)
def test_a_device_gives_what_memory_gives(
    recipe: Recipe, framing: Framing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(recipe, tmp_path)
    facts, index = index_video(path)
    viewing = AS_SHOWN.of(facts)
    assert not refusal(facts, index, viewing)
    wanted = np.arange(2, len(index), 2)  # four together, and one alone
    expected = by_cpu(path, index, wanted, viewing, framing)
    given = pretend(monkeypatch)
    monkeypatch.setattr(decoder, "BATCH_PIXELS", 4 * facts.width * facts.height)
    frame = first_frame(path, index, wanted[:1])
    siting = proven(path, index, expected[0], frame, viewing, framing, CPU)
    found = list(reduced_frames(path, index, wanted, viewing, framing, CPU, siting))
    assert_same(found, expected)
    assert given[-len(wanted) :] == wanted.tolist()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_it_is_turned_as_in_memory(
    turns: int, mirrored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(CASES["h264"], tmp_path)
    _, index = index_video(path)
    viewing = replace(AS_SHOWN, orientation=Orientation(turns, mirrored))
    wanted = np.arange(len(index))
    expected = by_cpu(path, index, wanted, viewing, SQUARE)
    pretend(monkeypatch)
    found = reduced_frames(path, index, wanted, viewing, SQUARE, CPU, SITINGS[0])
    assert_same(list(found), expected)


def test_frames_of_two_kinds_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def recoloured(position: int, frame: VideoFrame) -> None:
        frame.colorspace = 1 if position % 5 < 2 else 6

    path = make(CASES["h264"], tmp_path)
    _, index = index_video(path)
    wanted = np.arange(len(index))
    pretend(monkeypatch, recoloured)
    found = list(reduced_frames(path, index, wanted, AS_SHOWN, SQUARE, CPU, SITINGS[0]))
    assert [one.position for one in found] == wanted.tolist()
    scale = InputScaler(SQUARE, AS_SHOWN)
    for (position, frame), one in zip(decode_frames(path, index, wanted), found, strict=True):
        recoloured(position, frame)
        assert np.array_equal(one.image, scale(frame))
        assert one.digest == frame_digest(frame)


def test_where_chroma_lies_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    sitings = {}
    for name in ("h264", "top_left"):
        path = make(CASES[name], tmp_path)
        _, index = index_video(path)
        first = by_cpu(path, index, np.arange(1), AS_SHOWN, SQUARE)[0]
        frame = first_frame(path, index)
        sitings[name] = proven(path, index, first, frame, AS_SHOWN, SQUARE, CPU)
    assert sitings == {"h264": SITINGS[0], "top_left": Siting(0, 0)}


def black_first(number: int, width: int, height: int) -> np.ndarray:
    return scenes(number, width, height) * np.uint8(number > 0)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_where_chroma_lies_is_known_of_a_film_that_begins_in_black(
    framing: Framing, codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_ten_bits = {"pixel_format": "yuv420p10le"} if codec == "libx265" else {}
    options = {f"{codec.removeprefix('lib')}-params": "chromaloc=1"}
    kind = Recipe("black.mp4", codec, 12, 322, 242, options=options, paint=black_first)
    path = make(replace(kind, **of_ten_bits), tmp_path)  # type: ignore[arg-type]
    _, index = index_video(path)
    wanted = np.arange(len(index))
    expected = by_cpu(path, index, wanted, AS_SHOWN, framing)
    pretend(monkeypatch)
    frame = first_frame(path, index)
    siting = proven(path, index, expected[0], frame, AS_SHOWN, framing, CPU)
    assert siting == Siting(128, 128)
    found = reduced_frames(path, index, wanted, AS_SHOWN, framing, CPU, siting)
    assert_same(list(found), expected)


def test_other_pixels_or_colours_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    path = make(CASES["h264"], tmp_path)
    _, index = index_video(path)
    first = by_cpu(path, index, np.arange(1), AS_SHOWN, SQUARE)[0]
    frame = first_frame(path, index)
    with pytest.raises(NotOnGpuError, match="the GPU decodes other pixels"):
        proven(path, index, first._replace(digest=1), frame, AS_SHOWN, SQUARE, CPU)
    dark = first._replace(image=first.image // 2)
    with pytest.raises(NotOnGpuError, match="colours are converted in a way"):
        proven(path, index, dark, frame, AS_SHOWN, SQUARE, CPU)


FACTS = VideoFacts("mp4", "h264", 160, 146, "yuv420p", 0, 1.0)


@pytest.mark.parametrize(
    ("changed", "viewing", "why"),
    [
        ({"codec": "mpeg4"}, {}, "mpeg4 of yuv420p"),
        ({"pixel_format": "yuv444p"}, {}, "h264 of yuv444p"),
        ({"width": 4098}, {}, "h264 of 4098x146"),
        ({"codec": "hevc", "height": 142}, {}, "hevc of 160x142"),
        ({"interlaced": "tff"}, {}, "interlaced"),
        ({}, {"crop": Crop(8, 8, 0, 0)}, "cropped"),
        ({}, {"margins": Margins(0, 0, 0, 8)}, "cropped"),
        ({}, {"digest": 1}, "digests are of version 1"),
    ],
)
def test_what_only_a_cpu_does_is_told(
    changed: dict[str, object], viewing: dict[str, object], why: str, tmp_path: Path
) -> None:
    _, index = index_video(make(CASES["h264"], tmp_path))
    seen = replace(AS_SHOWN, **viewing)  # type: ignore[arg-type]
    facts = replace(FACTS, **changed)  # type: ignore[arg-type]
    assert why in refusal(facts, index, seen)
    assert refusal(FACTS, index, AS_SHOWN) == ""
    assert "census" in refusal(FACTS, replace(index, digest=np.zeros(12, np.uint64)), AS_SHOWN)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (Recipe("four.mp4", frames=3, pixel_format="yuv444p"), "frames of yuv444p"),
        (Recipe("odd.mkv", "ffv1", frames=3, width=51, height=33), "an odd size, 51x33"),
        (
            Recipe("hdr.mp4", frames=3, options={"color_trc": "smpte2084"}),
            "of high dynamic range",
        ),
        (Recipe("tiny.mp4", frames=3, width=64, height=16), "not scaled on a GPU: 64x16"),
        (
            Recipe("i.mp4", frames=3, options={"x264-params": "tff=1", "flags": "+ilme+ildct"}),
            "interlaced",
        ),
    ],
)
def test_a_frame_that_only_a_cpu_understands_is_told(
    recipe: Recipe, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(recipe, tmp_path)
    _, index = index_video(path)
    pretend(monkeypatch)
    with pytest.raises(NotOnGpuError, match=why):
        list(reduced_frames(path, index, np.arange(3), AS_SHOWN, SQUARE, CPU, SITINGS[0]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_fails_is_no_damage(tmp_path: Path) -> None:
    """The real thing: here is no GPU, and FFmpeg says so in its own words."""
    path = make(CASES["h264"], tmp_path)
    _, index = index_video(path)
    with pytest.raises(av.FFmpegError):
        list(reduced_frames(path, index, np.arange(3), AS_SHOWN, SQUARE, CPU, SITINGS[0]))
    with pytest.raises(av.FFmpegError):
        list(decode_frames(path, index, np.arange(3), accelerator=decoder.accelerator()))


def test_no_gpu_no_decoder() -> None:
    assert not decoder.can_decode(CPU)
