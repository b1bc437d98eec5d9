"""Frames that were recorded when they were embedded, decoded again and verified."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from av import VideoFrame

from coreframe.tasks.store.store import Store
from coreframe.tasks.video.decode import decode_frames


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
        The place in ``frame_index``, and the frame.
    """
    opened = Store.open(store)
    index = opened.read_index(fingerprint)
    positions = index.positions_of(frame_index)
    place = dict(zip(positions.tolist(), range(len(positions)), strict=True))
    expected = np.zeros(len(index), np.uint64)
    expected[positions] = np.array(digest, np.uint64)
    decoded = decode_frames(
        source, replace(index, digest=expected), positions, opened.settings.viewing
    )
    return ((place[position], frame) for position, frame in decoded)
