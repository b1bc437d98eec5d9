"""WebDataset: tar files that are read from one end to the other."""

import io
import json
import tarfile
from pathlib import Path

from coreframe.tasks.datasets.chosen import Frame

SHARD_FRAMES, SHARD_BYTES = 10_000, 10**9
"""Of one shard at most; a frame that is larger alone has one of its own."""


def write_webdataset(
    frames: list[Frame],
    folder: Path,
    *,
    shard_frames: int = SHARD_FRAMES,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write ``shard-000000.tar`` and so on: of each frame ``KEY.png`` (jpg, webp) and ``KEY.json``.

    The same selection gives the same bytes.

    Args:
        frames: in the order in which they are written.
        folder: where to.
        shard_frames: of one shard at most.
        shard_bytes: of one shard at most, of what it holds.
    """
    shard: list[Frame] = []
    written = held = 0
    for frame in frames:
        size = frame.image.stat().st_size
        if shard and (len(shard) == shard_frames or held + size > shard_bytes):
            _write_shard(shard, folder / f"shard-{written:06d}.tar")
            shard, written, held = [], written + 1, 0
        shard.append(frame)
        held += size
    _write_shard(shard, folder / f"shard-{written:06d}.tar")


def key_of(frame: Frame) -> str:
    """What a sample is called: its rank, and the image's name up to the suffix.

    WebDataset takes all after the first dot for the suffix, so dots become ``_``. The rank keeps
    apart what is alike then, and images that differ in their suffix only.
    """
    return f"{frame.facts['rank']:06d}_{frame.image.stem.replace('.', '_')}"


def _write_shard(frames: list[Frame], path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as shard:
        for frame in frames:
            facts = json.dumps(frame.facts, allow_nan=False).encode()
            for suffix, data in (
                (frame.image.suffix, frame.image.read_bytes()),
                (".json", facts),
            ):
                member = tarfile.TarInfo(f"{key_of(frame)}{suffix}")  # of nobody, in 1970
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
