"""WebDataset: tar files that are read from one end to the other."""

import io
import json
import tarfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from coreframe.tasks.datasets.chosen import Chosen, Frame
from coreframe.tasks.output.images import ImageFormat, encode

SHARD_FRAMES, SHARD_BYTES = 10_000, 10**9
"""Of one shard at most; a frame that is larger alone has one of its own."""


def write_webdataset(
    chosen: Chosen,
    folder: Path,
    *,
    shard_frames: int = SHARD_FRAMES,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write ``shard-000000.tar`` and so on: of each frame ``KEY.png`` (jpg, webp) and ``KEY.json``.

    The same selection gives the same bytes.

    Args:
        chosen: in the order in which they are written.
        folder: where to.
        shard_frames: of one shard at most.
        shard_bytes: of one shard at most, of the images that it holds.
    """
    suffix = _suffix(chosen.frames)
    number = count = held = 0
    with ExitStack() as stack:
        shard = stack.enter_context(_shard(folder, number))
        for frame in chosen.frames:
            image = _image(frame, suffix)
            if count and (count == shard_frames or held + len(image) > shard_bytes):
                stack.close()
                number, count, held = number + 1, 0, 0
                shard = stack.enter_context(_shard(folder, number))
            _add(shard, f"{key_of(frame)}{suffix}", image)
            _add(shard, f"{key_of(frame)}.json", json.dumps(frame.facts, allow_nan=False).encode())
            count, held = count + 1, held + len(image)


def key_of(frame: Frame) -> str:
    """What a sample is called: its rank, and the image's name up to the suffix.

    WebDataset takes all after the first dot for the suffix, so dots become ``_``. The rank keeps
    apart what is alike then, and images that differ in their suffix only.
    """
    return f"{frame.facts['rank']:06d}_{frame.image.stem.replace('.', '_')}"


def _suffix(frames: list[Frame]) -> str:
    """That of all images, since the suffix is the name of a column: readers want one of each.

    A selection that was kept and extended may hold images of several formats: ``.png`` then.
    """
    found = {frame.image.suffix for frame in frames}
    return found.pop() if len(found) == 1 else f".{ImageFormat.PNG}"


def _image(frame: Frame, suffix: str) -> bytes:
    """The image file, or another of the same pixels in the format that all have."""
    data = frame.image.read_bytes()
    if frame.image.suffix == suffix:
        return data
    with Image.open(io.BytesIO(data)) as picture:
        return encode(np.asarray(picture.convert("RGB")), ImageFormat.PNG)


def _shard(folder: Path, number: int) -> tarfile.TarFile:
    return tarfile.open(folder / f"shard-{number:06d}.tar", "w", format=tarfile.PAX_FORMAT)


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of nobody, in 1970
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))
