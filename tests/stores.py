"""Stores made from given embeddings, without any video."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState
from coreframe.tasks.store.frames import SCHEMA, FrameState
from coreframe.tasks.store.settings import StoreSettings
from coreframe.tasks.store.store import Store


def make_store(
    path: Path,
    lattice: np.ndarray,
    lengths: list[int],
    *,
    block_rows: int = 64,
    undecodable: tuple[int, ...] = (),
    copies: dict[int, int] | None = None,
    flat: tuple[int, ...] = (),
) -> Store:
    """Write a store, or add to one, of videos ``v0``, ``v1``, ... with so many rows each.

    Luminance and sharpness are those of :func:`measures`.

    Args:
        path: its folder.
        lattice: (n, dim) int16, the rows of all videos.
        lengths: rows of each video.
        block_rows: rows a block.
        undecodable: rows without a frame.
        copies: rows whose digest is that of another row.
        flat: rows whose frames show nothing.
    """
    settings = StoreSettings("given", "0", lattice.shape[1], 64, "all", "", block_rows)
    store = Store.open_or_create(path, settings, block_rows)
    starts = np.cumsum([0, *lengths])
    store.plan_rows(len(lattice))
    rows = np.arange(len(lattice))
    video = np.repeat(np.arange(len(lengths)), lengths)
    index = rows - starts[video]
    ok = ~np.isin(rows, undecodable)
    digest = rows.astype(np.uint64) + np.uint64(1)
    for row, original in (copies or {}).items():
        digest[row] = digest[original]
    luminance, sharpness = measures(len(lattice))
    table = pa.table(
        {
            "row": rows,
            "video": video,
            "frame_index": np.where(ok, index, -1),
            "pts": index,
            "time_s": index / 25,
            "digest": np.where(ok, digest, np.uint64(0)),
            "luminance": np.where(ok, luminance, np.float32(np.nan)),
            "sharpness": np.where(ok, sharpness, np.float32(np.nan)),
            "state": np.where(ok, FrameState.OK, FrameState.UNDECODABLE),
            "suspect": np.zeros(len(ok), bool),
            "flat": np.isin(rows, flat),
        }
    ).cast(SCHEMA)
    for start in range(0, len(lattice), block_rows):
        stop = min(start + block_rows, len(lattice))
        committed = store.committed(start // block_rows)
        if committed is None or len(committed) < stop - start:
            vectors = np.where(ok[start:stop, None], lattice[start:stop], 0).astype(np.int16)
            store.commit_block(start // block_rows, vectors, table.slice(start, stop - start))
    store.write_catalogue(
        Catalogue(
            [
                Video(
                    video=number,
                    path=f"v{number}.mp4",
                    source=f"/videos/v{number}.mp4",
                    fingerprint=str(number),
                    size_bytes=1000,
                    state=VideoState.OK,
                    frame_count=length,
                    first_row=int(start),
                    rows=length,
                    decoded=int(ok[start : start + length].sum()),
                    undecodable=int((~ok[start : start + length]).sum()),
                )
                for number, (start, length) in enumerate(zip(starts, lengths, strict=False))
            ]
        )
    )
    return store


def measures(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) float32 luminance and sharpness, scattered over 0 to 1, the same for each row."""
    row = np.arange(rows, dtype=np.float64)
    return (
        (row * 0.618033988749895 % 1).astype(np.float32),
        (row * 0.7548776662466927 % 1).astype(np.float32),
    )


def walks(rows: int, dim: int, seed: int, latent: int = 3) -> np.ndarray:
    """(rows, dim) int16 lattice that wanders in few directions, as video does; some repeat."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(size=(rows, latent)), axis=0) / 8 @ rng.normal(size=(latent, dim))
    path += 1 + 0.02 * rng.normal(size=(rows, dim))
    path /= np.linalg.norm(path, axis=1, keepdims=True)
    lattice = np.rint(path * 4000).astype(np.int16)
    lattice[rng.integers(rows, size=rows // 10)] = lattice[rng.integers(rows, size=rows // 10)]
    return lattice
