"""Small videos that the tests make themselves, the awkward kinds among them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

Painter = Callable[[int, int, int], np.ndarray]


def scenes(number: int, width: int, height: int) -> np.ndarray:
    """A new scene every ten frames, something moving in each: (height, width, 3) uint8."""
    rng = np.random.default_rng(number // 10)
    top, bottom, block = rng.integers(0, 256, (3, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    image = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3)).copy()
    side = max(2, height // 4)
    x = (number * 3 + int(rng.integers(width))) % max(1, width - side)
    y = int(rng.integers(0, max(1, height - side)))
    image[y : y + side, x : x + side] = block
    return image.astype(np.uint8)


@dataclass(frozen=True)
class Recipe:
    """How to make one video."""

    file: str
    codec: str = "libx264"
    frames: int = 40
    width: int = 96
    height: int = 64
    rate: int = 25
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    gop: int = 12
    pts: Sequence[int] | None = None
    """Presentation times in units of 1/1000 s; None for an even rate."""
    paint: Painter = scenes


RECIPES = [
    Recipe("closed_gop.mp4", options={"bf": "2"}),
    Recipe(
        "open_gop.mp4",
        options={"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"},
    ),
    Recipe("hevc_open_gop.mkv", "libx265", options={"x265-params": "keyint=12:log-level=none"}),
    Recipe("vp9.webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    Recipe("av1.mkv", "libsvtav1", options={"preset": "12", "svtav1-params": "keyint=12"}),
    Recipe("mpeg4.mp4", "mpeg4", options={"bf": "2"}),
    Recipe("mjpeg.mov", "mjpeg", pixel_format="yuvj420p"),
    Recipe("prores.mov", "prores_ks", pixel_format="yuv422p10le"),
    Recipe("ffv1_rgb.mkv", "ffv1", pixel_format="bgr0"),
    Recipe("high_444.mp4", pixel_format="yuv444p"),
    Recipe("ten_bit.mp4", pixel_format="yuv420p10le"),
    Recipe("odd_size.mkv", "ffv1", width=51, height=33),
    Recipe("transport.ts", options={"bf": "2"}),
    Recipe("late_start.mp4", pts=[5000 + 40 * i for i in range(40)]),
    Recipe("variable_rate.mkv", pts=[i * 30 + (i * i) % 17 for i in range(40)]),
    Recipe("times_guessed.avi", options={"bf": "2"}),
    Recipe("times_missing.h264", options={"bf": "2"}),
    Recipe("no_key_marked.avi", "msvideo1", pixel_format="rgb555le"),
    Recipe("one_frame.mp4", frames=1),
]


def make(recipe: Recipe, folder: Path) -> Path:
    """Encode a recipe into a folder."""
    path = folder / recipe.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            recipe.codec, rate=recipe.rate, options={"threads": "1", **recipe.options}
        )
        stream.width, stream.height = recipe.width, recipe.height
        stream.pix_fmt = recipe.pixel_format
        stream.codec_context.gop_size = recipe.gop
        if recipe.pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(recipe.frames):
            image = recipe.paint(number, recipe.width, recipe.height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if recipe.pts is None else recipe.pts[number]
            if recipe.pts is not None:
                frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if recipe.codec == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # For root, this encoder gives the process real-time priority, which its children inherit.
        # Two of them that wait for something in a loop stop all else on two cores, for good.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def make_audio(path: Path) -> Path:
    """A second of silence: no video in it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(source: Path, target: Path, packet: int) -> Path:
    """Copy a file with one video packet's bytes overwritten, so that it cannot be decoded."""
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        start, size = packets[packet].pos, packets[packet].size
    assert start is not None
    data = bytearray(source.read_bytes())
    data[start : start + size] = b"\xff" * size
    target.write_bytes(data)
    return target


def sequential_rgb(path: Path) -> list[np.ndarray]:
    """Every frame as a plain, sequential, tolerant decode gives it: upright RGB.

    One thread: with more, what libavcodec shows for a damaged frame depends on what the frame's
    buffer held before, so on how long earlier frames are kept.
    """
    images = []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                turns = round(frame.rotation / 90) % 4
                images.append(np.rot90(frame.to_ndarray(format="rgb24"), turns))
    return images


SMALL = replace(RECIPES[0], codec="mpeg4", options={}, frames=4, width=32, height=32, gop=4)


def clips(folder: Path, names: list[str]) -> Path:
    """Make a folder of small videos of four frames each, no two alike."""
    folder.mkdir()
    for number, name in enumerate(names):
        paint = lambda frame, width, height, seed=number: scenes(  # noqa: E731
            10 * (seed + 1) + frame, width, height
        )
        make(replace(SMALL, file=f"{name}.mp4", paint=paint), folder)
    return folder
