"""Index a video: which frames it has, in presentation order, and where decoding can start.

Two ways to know a video's frames:

* the **demuxed index** reads packets only. It is cheap and right for every sound file whose
  container stores presentation times.
* the **census** decodes the whole file once and records each frame's digest. It is taken where
  the demuxed index cannot be trusted: missing or repeated times, a container that stores none,
  or a decoder that did not give what the index promised. After a census every decoded frame is
  checked against its digest, so a damaged file may be cut into segments as freely as a sound one.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from coreframe.tasks.errors import BrokenVideoError
from coreframe.tasks.video.census import decode_tolerantly, take_census
from coreframe.tasks.video.colours import convertible
from coreframe.tasks.video.container import open_video
from coreframe.tasks.video.demux import demux
from coreframe.tasks.video.index import VideoFacts, VideoIndex
from coreframe.tasks.video.pixels import upright_size
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing


def index_video(path: str | Path, viewing: Viewing = AS_SHOWN) -> tuple[VideoFacts, VideoIndex]:
    """Index a file without decoding it, or by a census where that would be a guess.

    Raises:
        NotAVideoError: see :func:`coreframe.tasks.video.container.open_video`.
        BrokenVideoError: it cannot be opened, or not one frame can be decoded, or its colours
            cannot be turned into RGB.
    """
    with open_video(path, viewing, packets_only=True) as (container, stream):
        demuxed, trouble = demux(container, stream)
    facts, first_pts = _probe(path, viewing)
    if demuxed is not None and not trouble and first_pts != demuxed.pts[0]:
        trouble = "its first frames cannot be decoded"
    if demuxed is not None and not trouble:
        return replace(facts, duration_s=_duration_s(demuxed)), demuxed
    surveyed, _ = take_census(path, demuxed, viewing)
    return replace(facts, duration_s=_duration_s(surveyed), note=trouble), surveyed


def _probe(path: str | Path, viewing: Viewing) -> tuple[VideoFacts, int | None]:
    """Facts that only a decoded frame tells, and that frame's pts."""
    with open_video(path, viewing) as (container, stream):
        errors: list[str] = []
        frame = next(decode_tolerantly(container, stream, errors), None)
        if frame is None:
            raise BrokenVideoError(
                f"not one frame could be decoded: {errors[0] if errors else 'no frame in it'}"
            )
        convertible(frame)
        width, height = upright_size(frame, viewing)
        return VideoFacts(
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            pixel_format=frame.format.name,
            rotation=frame.rotation,
            duration_s=0.0,
        ), frame.pts


def _duration_s(index: VideoIndex) -> float:
    """Length in seconds; a lone frame, whose duration nothing tells, counts as none."""
    if len(index) < 2:
        return 0.0
    span = int(index.pts[-1] - index.pts[0])
    return float(span * index.time_base * Fraction(len(index), len(index) - 1))
