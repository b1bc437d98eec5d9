"""Index a video: which frames it has, in presentation order, and where decoding can start.

Two ways to know a video's frames:

* the **demuxed index** reads packets only. It is cheap and right for every sound file whose
  container stores presentation times.
* the **census** decodes the whole file once and records each frame's digest. It is taken where
  the demuxed index cannot be trusted: missing or repeated times, a container that stores none,
  or a decoder that did not give what the index promised. After a census every decoded frame is
  checked against its digest, so a damaged file may be cut into segments as freely as a sound one.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from coreframe.tasks.errors import BrokenVideoError, DamagedVideoError
from coreframe.tasks.storage.files import size_bytes
from coreframe.tasks.video.census import decode_tolerantly, take_census
from coreframe.tasks.video.claims import MOST_FRAMES, MOST_PIXELS, Allowance
from coreframe.tasks.video.colours import PRIMARIES, TRANSFERS, convertible
from coreframe.tasks.video.container import open_video, stream_note
from coreframe.tasks.video.created import created
from coreframe.tasks.video.decode import SEEK_GAP_FRAMES, decode_frames
from coreframe.tasks.video.deinterlace import field_note, field_order
from coreframe.tasks.video.demux import NO_KEY_FIRST, demux, keyframes_told
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoFacts, VideoIndex
from coreframe.tasks.video.margins import read_margins
from coreframe.tasks.video.orientation import orientation, usable_aspect
from coreframe.tasks.video.pixels import upright_size
from coreframe.tasks.video.promised import promised_frames
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

LOOKED_AT = 12
"""Frames of interlaced material that are looked at, to see whether all are."""

ROTATIONS = (0, 90, -180, -90)
"""Degrees counter-clockwise, by quarter turns."""

ASKEW = "it asks to be turned by no multiple of 90 degrees, and is not turned"

PROGRESSIVE = 1
"""libavcodec's field orders: this, or 0 where a container says nothing."""


def index_video(
    path: str | Path, viewing: Viewing = AS_SHOWN, most_frames: int = MOST_FRAMES
) -> tuple[VideoFacts, VideoIndex]:
    """Index a file without decoding it, or by a census where that would be a guess.

    Args:
        path: the file, or the URL of an object.
        viewing: the store's.
        most_frames: that it may have.

    Raises:
        NotAVideoError: see :func:`coreframe.tasks.video.container.open_video`.
        BrokenVideoError: it cannot be opened, or not one frame can be decoded, or its colours
            cannot be turned into RGB, or it claims more than the limits of
            `coreframe.tasks.video.claims` allow.
    """
    asked = open_video(path, viewing, packets_only=True, most_frames=most_frames)
    with asked as (container, stream):
        allowance = Allowance(size_bytes(str(path)), most_frames)
        demuxed, trouble, held = demux(container, stream, viewing, allowance)
        doubted = demuxed is not None and not keyframes_told(stream, demuxed)
        promised = promised_frames(path, container, stream)
        viewing = _of_video(path, container, stream, viewing)
    facts, first_pts = _probe(path, viewing)
    viewing = viewing.of(facts)
    leading = ""
    if demuxed is not None and first_pts is not None:
        demuxed, leading = _without_leading(demuxed, first_pts)
        trouble = trouble if not leading or trouble != NO_KEY_FIRST else ""
    if demuxed is not None and not trouble and first_pts != demuxed.pts[0]:
        trouble = "its first frames cannot be decoded"
    odd = [leading, facts.note, field_note(facts.interlaced, viewing)]
    if demuxed is not None and not trouble and not doubted:
        missing = max(0, promised - held)
        facts = replace(facts, duration_s=_duration_s(demuxed), missing=missing)
        return replace(facts, note=_joined(odd)), demuxed
    surveyed, _ = take_census(path, demuxed, viewing)
    if doubted:
        surveyed = replace(surveyed, key=_proven(path, surveyed, viewing))
    note = _joined([trouble, *surveyed.oddities(), *odd])
    # of the last packet only a part may be there
    missing = promised - min(held, len(surveyed)) if held < promised else 0
    facts = replace(facts, duration_s=_duration_s(surveyed), note=note, missing=missing)
    return facts, surveyed


def _without_leading(demuxed: VideoIndex, first_pts: int) -> tuple[VideoIndex, str]:
    """Leave out leading pictures of the first keyframe: what they refer to was never recorded.

    Returns:
        The index, and what was left out, in words ("" when nothing was).
    """
    first = int(np.searchsorted(demuxed.pts, first_pts))
    begins = first < len(demuxed) and demuxed.pts[first] == first_pts and demuxed.key[first]
    if not first or not begins or demuxed.dts[first] != demuxed.dts.min():
        return demuxed, ""
    arrays = {name: getattr(demuxed, name)[first:] for name in ("pts", "dts", "key")}
    frame_index = np.arange(len(demuxed) - first, dtype=np.int32)
    pictures = f"{first} leading picture{'s' * (first > 1)}"
    note = f"it begins with {pictures} of which no decoder can make anything"
    return replace(demuxed, frame_index=frame_index, **arrays), note


def _joined(notes: Iterable[str]) -> str:
    return "; ".join(note for note in notes if note)


def _of_video(
    path: str | Path, container: InputContainer, stream: VideoStream, viewing: Viewing
) -> Viewing:
    """The store's viewing with what its container says of this video's pictures."""
    if not viewing.as_players:
        return viewing
    aspect = usable_aspect(stream.sample_aspect_ratio)
    margins = read_margins(path, container.format.name, stream)
    return replace(viewing, sample_aspect=aspect, margins=margins)


def _proven(path: str | Path, index: VideoIndex, viewing: Viewing) -> NDArray[np.bool_]:
    """(frames,) bool, the marked keyframes from which a decoder gives what the census recorded.

    Each is tried for one frame; of those too near to one that was, none is, and none is kept.
    """
    key = np.zeros(len(index), bool)
    key[0] = index.key[0]
    before = 0
    for position in np.flatnonzero(index.key & (index.frame_index >= 0)).tolist():
        if position - before < SEEK_GAP_FRAMES:
            continue
        before = position
        only = replace(index, key=np.arange(len(index)) == position, digest=None)
        assert index.digest is not None
        with suppress(DamagedVideoError):
            for _, frame in decode_frames(path, only, np.array([position]), viewing):
                key[position] = frame_digest(frame, viewing) == index.digest[position]
    return key


def _probe(path: str | Path, viewing: Viewing) -> tuple[VideoFacts, int | None]:
    """Facts that only a decoded frame tells, and that frame's pts."""
    with open_video(path, viewing) as (container, stream):
        errors: list[str] = []
        frames = decode_tolerantly(container, stream, errors)
        frame = next(frames, None)
        if frame is None:
            if errors[:1] == [os.strerror(errno.EINVAL)] and not stream.width:
                raise BrokenVideoError(  # so libavcodec says it, and forgets how large they are
                    f"its pictures have more than {MOST_PIXELS:,} pixels, or say no size: make "
                    "them smaller first (ffmpeg -i FILE -vf scale=8192:-2 NEW)"
                )
            raise BrokenVideoError(
                f"not one frame could be decoded: {errors[0] if errors else 'no frame in it'}"
            )
        convertible(frame)
        width, height = upright_size(frame, viewing)
        turned = orientation(frame, viewing)
        return VideoFacts(
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            pixel_format=frame.format.name,
            rotation=ROTATIONS[turned.turns],
            duration_s=0.0,
            mirrored=turned.mirrored,
            matrix_degrees=frame.rotation,
            sample_aspect_num=viewing.sample_aspect.numerator,
            sample_aspect_den=viewing.sample_aspect.denominator,
            margins=str(viewing.margins),
            color_transfer=TRANSFERS.get(int(frame.color_trc), ""),
            color_primaries=PRIMARIES.get(int(frame.color_primaries), ""),
            interlaced=_fields(frame, frames, stream),
            stream_index=stream.index,
            created=created(container.metadata, stream.metadata),
            note=_joined([ASKEW if turned.askew else "", stream_note(container, stream)]),
        ), frame.pts


def _fields(first: VideoFrame, others: Iterator[VideoFrame], stream: VideoStream) -> str:
    """How the first frames are interlaced; of what seems progressive only one is looked at."""
    progressive = not first.interlaced_frame and stream.codec_context.field_order <= PROGRESSIVE
    return field_order([first, *([] if progressive else islice(others, LOOKED_AT - 1))])


def _duration_s(index: VideoIndex) -> float:
    """Length in seconds; a lone frame, whose duration nothing tells, counts as none."""
    return float((index.end_pts - int(index.pts[0])) * index.time_base) if len(index) > 1 else 0.0
