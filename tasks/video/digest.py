"""The digest of a decoded frame: equal ones mean equal pictures.

A store says by which version its frames' digests are made (`Viewing.digest`):

1. XXH3 (64 bits) over what `header` says and all bytes of the planes, one after the other. Only one
   thread can form it, from frames in this machine's memory.
2. The planes are cut into pieces of `PIECE_BYTES`, the last of each as long as it is. The digest is
   XXH3 over what `header` says and the XXH3 hashes (64 bits, big-endian) of all pieces. A GPU forms
   those of a frame, and of many frames, side by side.

At 10^8 frames the chance of any false match is under 1 in 3000.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import xxhash
from av.video.frame import VideoFrame

from coreframe.tasks.video.colours import FULL_RANGE
from coreframe.tasks.video.orientation import orientation
from coreframe.tasks.video.planes import all_lines
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

PIECE_BYTES: Final = 16 * 1024
"""More make the hash of a piece, whose blocks come one after the other, slow on a GPU; fewer take
time on a CPU for being many."""


def frame_digest(frame: VideoFrame, viewing: Viewing = AS_SHOWN) -> int:
    """64-bit hash of the decoded pixels as they leave the decoder, and of how to show them.

    Line padding, which decoders leave uninitialised, is not part of it.
    """
    header = frame_header(frame, viewing)
    if viewing.digest == 1:
        digest = xxhash.xxh3_64(header)
        for lines in all_lines(frame):
            digest.update(np.ascontiguousarray(lines).data)
        return digest.intdigest()
    hashes: list[bytes] = []
    for lines in all_lines(frame):
        data = np.ascontiguousarray(lines).data.cast("B")
        pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
        hashes += map(xxhash.xxh3_64_digest, pieces)
    return joined(header, hashes)


def joined(header: bytes, hashes: Iterable[bytes]) -> int:
    """The digest of version 2, of what is said of a frame and the hashes of its planes' pieces."""
    return xxhash.xxh3_64_intdigest(header + b"".join(hashes))


def frame_header(frame: VideoFrame, viewing: Viewing, format_name: str = "") -> bytes:
    """How to show a frame, besides its pixels.

    Args:
        frame: the frame.
        viewing: the store's, for its video.
        format_name: of the frame's pixels, where they lie elsewhere; by default the frame's own.
    """
    name, colour_range = format_name or frame.format.name, int(frame.color_range)
    if viewing.digest > 1 and name.startswith("yuvj"):  # FFmpeg's old names of full range
        name, colour_range = name.replace("yuvj", "yuv"), FULL_RANGE
    form = f"{name} {frame.width}x{frame.height} {orientation(frame, viewing)}"
    form += f" {int(frame.colorspace)} {colour_range}"
    if any(viewing.margins):
        form += f" {viewing.margins}"
    return form.encode()
