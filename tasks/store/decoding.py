"""Frames that were recorded when they were embedded, decoded again and verified."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from av import VideoFrame

from coreframe.tasks.store.store import Store
from coreframe.tasks.video.decode import UNKNOWN
from coreframe.tasks.video.deinterlace import decode_shown


def recorded_frames(
    store: str, source: str, fingerprint: str, frame_index: Sequence[int], digest: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode some frames of one video; the index is read at once, the video as frames are asked.

    With digests the decoder checks every frame, and starts earlier where one differs.

    Args:
        store: that has the video's index.
        source: the video.
        fingerprint: of its content.
        frame_index: ascending.
        digest: what each frame's pixels must hash to.

    Returns:
        The place in ``frame_index``, and the frame as it is to be seen.
    """
    opened = Store.open(store)
    facts, index = opened.read_facts_and_index(fingerprint)
    positions = index.positions_of(frame_index)
    place = dict(zip(positions.tolist(), range(len(positions)), strict=True))
    # Neighbours of the frames may be decoded, too, to make whole pictures of interlaced ones.
    unknown = np.full(len(index), UNKNOWN)
    expected = unknown if index.digest is None else index.digest.copy()
    expected[positions] = np.array(digest, np.uint64)
    viewing = opened.settings.viewing.of(facts)
    decoded = decode_shown(source, replace(index, digest=expected), positions, viewing)
    return ((place[one.position], one.shown) for one in decoded)
