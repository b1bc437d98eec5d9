"""``--sample-fps`` keeps what FFmpeg's fps filter keeps."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.sampling import Sampling


def index_of(pts: list[int], time_base: Fraction, last_span: int) -> VideoIndex:
    frames = len(pts)
    return VideoIndex(
        pts=np.array(pts, np.int64),
        dts=np.array(pts, np.int64),
        key=np.ones(frames, bool),
        frame_index=np.arange(frames, dtype=np.int32),
        digest=None,
        time_base=time_base,
        end_pts=pts[-1] + last_span,
        origin_pts=pts[0],
        seekable=True,
    )


def kept_by_ffmpeg(pts: list[int], time_base: Fraction, last_span: int, fps: Fraction) -> list[int]:
    """Places of the frames that the real filter lets through, each once."""
    graph = Graph()
    source = graph.add_buffer(width=16, height=16, format="gray16le", time_base=time_base)
    rate = graph.add("fps", f"fps={fps.numerator}/{fps.denominator}")
    sink = graph.add("buffersink")
    source.link_to(rate)
    rate.link_to(sink)
    graph.configure()
    kept: list[int] = []

    def drain() -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            place = int(frame.to_ndarray()[0, 0])
            if not kept or kept[-1] != place:
                kept.append(place)

    for place, value in enumerate(pts):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), place, np.uint16), "gray16le")
        frame.pts, frame.time_base = value - pts[0], time_base
        frame.duration = last_span
        graph.push(frame)
        drain()
    graph.push(None)
    drain()
    return kept


@given(
    steps=st.lists(st.integers(1, 9), min_size=0, max_size=40),
    first=st.integers(-20, 50),
    unit=st.sampled_from([Fraction(1, 30), Fraction(1, 1000), Fraction(1001, 30000)]),
    scale=st.sampled_from([1, 7, 40]),
    fps=st.sampled_from(["1/3", "1", "2", "7", "12.5", "29.97", "60", "30000/1001"]),
)
def test_equals_ffmpegs_filter(
    steps: list[int], first: int, unit: Fraction, scale: int, fps: str
) -> None:
    pts = [first * scale]
    for step in steps:
        pts.append(pts[-1] + step * scale)
    span = (steps[-1] if steps else 1) * scale
    expected = kept_by_ffmpeg(pts, unit, span, Fraction(fps))
    kept = Sampling(fps=Fraction(fps)).positions(index_of(pts, unit, span)).tolist()
    assert kept == (expected or [0])


def test_every_and_all(made_videos: dict[str, Path]) -> None:
    _, index = index_video(made_videos["closed_gop.mp4"])
    assert Sampling().positions(index).tolist() == list(range(40))
    assert Sampling(every=7).positions(index).tolist() == [0, 7, 14, 21, 28, 35]


def test_names_tell_samplings_apart() -> None:
    names = {str(s) for s in (Sampling(), Sampling(every=2), Sampling(Fraction(2)))}
    assert names == {"all", "every 2", "2 fps"}


def test_contradictions_are_refused() -> None:
    with pytest.raises(UsageError):
        Sampling(fps=Fraction(0))
    with pytest.raises(UsageError):
        Sampling(every=0)
    with pytest.raises(UsageError):
        Sampling(fps=Fraction(1), every=2)
