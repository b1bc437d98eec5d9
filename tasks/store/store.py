"""A store on disk: where everything is, and how it is written so that nothing is half there."""

import atexit
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zarr
from zarr.codecs import ZstdCodec
from zarr.codecs.numcodecs import FixedScaleOffset
from zarr.core.array import AsyncArray
from zarr.core.metadata import ArrayV3Metadata
from zarr.core.sync import cleanup_resources

from tasks.errors import CoreframeError, UsageError
from tasks.lattice import SCALE
from tasks.store import frames as frames_schema
from tasks.store.catalogue import Catalogue
from tasks.video.index import VideoFacts, VideoIndex

if TYPE_CHECKING:  # workers never need pandas, which takes 35 MB of each
    import pandas as pd

# Zarr gives its thread 0.2 s to stop at exit and prints a stack of calls when that was too short.
# The thread is a daemon: it ends with the process.
atexit.unregister(cleanup_resources)

FORMAT_VERSION = 1
EMBEDDINGS, CATALOGUE = "embeddings.zarr", "catalogue.parquet"
NEW_EMBEDDINGS = "embeddings.zarr.tmp"

FILTERED = ("row", "video", "state")
"""Columns of the frames tables by which rows are picked out."""

READ_VALUES = 2**21
"""Numbers that are decompressed together, where blocks lie side by side: each read has a cost."""

SCAN_THREADS = 2
"""That read frames tables at once: they are many and small, and each thread keeps some memory."""


@dataclass(frozen=True)
class StoreSettings:
    """What made a store. A store never mixes two of these."""

    embedder: str
    fingerprint: str
    """Of the embedder's function and weights."""
    dim: int
    input_px: int
    sampling: str
    crop: str
    """``W:H:X:Y`` or empty."""
    block_rows: int = 1024
    format_version: int = FORMAT_VERSION


class Store:
    """A block store. All arrays in and out are lattice integers; see `tasks.lattice`.

    Blocks are `block_rows` consecutive rows. A block's Parquet file lists the rows that are
    committed; it is written after their embeddings, to a temporary name and then renamed, so
    its rows are in the store wholly or not at all. Growing a block writes the same embeddings
    of the rows it already had, so no moment exists at which a committed row is missing.
    """

    def __init__(self, path: str | Path, settings: StoreSettings) -> None:
        self.path = Path(path).absolute()  # workers may run in another folder
        self.settings = settings

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open an existing store.

        Raises:
            UsageError: there is none, or it is of a newer format.
        """
        if not (Path(path) / EMBEDDINGS / "zarr.json").is_file():
            raise UsageError(
                f"no store at {path}: make one with `coreframe ingest VIDEOS --store {path}`."
            )
        with _understandably(path):
            written = dict(zarr.open_group(Path(path) / EMBEDDINGS, mode="r").attrs)["coreframe"]
            if written["format_version"] != FORMAT_VERSION:  # type: ignore[index, call-overload]
                raise UsageError(
                    f"the store {path} has format {written['format_version']}, "  # type: ignore[index, call-overload]
                    f"this version reads {FORMAT_VERSION}: use the version that made it."
                )
            return cls(path, StoreSettings(**written))  # type: ignore[arg-type]

    @classmethod
    def open_or_create(
        cls, path: str | Path, settings: StoreSettings, block_rows: int | None = None
    ) -> "Store":
        """Open the store for adding to it, or make it.

        Args:
            path: its folder.
            settings: what it must have been made with, its ``block_rows`` aside.
            block_rows: of a new store; an existing one must have it too, if given.

        Raises:
            UsageError: it was made with other settings, or the folder cannot be written.
        """
        path = Path(path)
        if (path / EMBEDDINGS / "zarr.json").is_file():
            store = cls.open(path)
            store._refuse_other(replace(settings, block_rows=block_rows or store.block_rows))
            return store
        settings = replace(settings, block_rows=block_rows or settings.block_rows)
        ours = {EMBEDDINGS, NEW_EMBEDDINGS, "frames", "index"}  # also of one half made
        if path.exists() and (not path.is_dir() or {p.name for p in path.iterdir()} - ours):
            raise UsageError(f"{path} is not a store and not empty: name a new or empty folder.")
        try:
            for folder in (path, path / "frames", path / "index"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write the store {path}: {error.strerror}.") from error
        group = zarr.open_group(path / NEW_EMBEDDINGS, mode="w")
        with _quiet_codec():
            group.create_array(
                "embedding",
                shape=(0, settings.dim),
                chunks=(settings.block_rows, settings.dim),
                dtype="float32",
                fill_value=0.0,
                filters=[FixedScaleOffset(offset=0, scale=SCALE, dtype="f4", astype="i2")],
                compressors=[ZstdCodec(level=3)],
            )
        group.attrs["coreframe"] = asdict(settings)
        os.replace(path / NEW_EMBEDDINGS, path / EMBEDDINGS)  # now, and not before, it is a store
        return cls(path, settings)

    def _refuse_other(self, wanted: StoreSettings) -> None:
        same = self.settings.fingerprint == wanted.fingerprint  # whatever way to it is written
        for name, ours in asdict(self.settings).items():
            theirs = getattr(wanted, name)
            if name == "embedder" and same:
                continue
            if ours != theirs:
                what = name.replace("_", "-")
                raise UsageError(
                    f"the store {self.path} was made with {what} {ours or 'none'}, not "
                    f"{theirs or 'none'}: ask for that, or name another store."
                )

    # --- catalogue and indexes -------------------------------------------------------------

    def read_catalogue(self) -> Catalogue:
        path = self.path / CATALOGUE
        if not path.exists():
            return Catalogue()
        with _understandably(path):
            return Catalogue.from_table(pq.read_table(path))

    def write_catalogue(self, catalogue: Catalogue) -> None:
        _write_parquet(catalogue.to_table(), self.path / CATALOGUE)

    def write_index(self, fingerprint: str, facts: VideoFacts, index: VideoIndex) -> None:
        """Keep what is known of a video under its content's fingerprint: copies share it."""
        _write_parquet(_index_to_table(facts, index), self._index_path(fingerprint))

    def has_index(self, fingerprint: str) -> bool:
        return self._index_path(fingerprint).exists()

    def read_index(self, fingerprint: str) -> VideoIndex:
        return self.read_facts_and_index(fingerprint)[1]

    def read_facts_and_index(self, fingerprint: str) -> tuple[VideoFacts, VideoIndex]:
        with _understandably(self._index_path(fingerprint)):
            return _index_from_table(pq.read_table(self._index_path(fingerprint)))

    def _index_path(self, fingerprint: str) -> Path:
        return self.path / "index" / f"{fingerprint}.parquet"

    # --- rows ------------------------------------------------------------------------------

    @property
    def block_rows(self) -> int:
        return self.settings.block_rows

    def blocks_of(self, start_row: int, stop_row: int) -> range:
        """The blocks that hold the rows ``start_row`` to ``stop_row`` (half-open)."""
        return range(start_row // self.block_rows, -(-stop_row // self.block_rows))

    def rows_planned(self) -> int:
        """Rows of the embedding array, committed or not."""
        return int(self._array("r").shape[0])

    def plan_rows(self, rows: int) -> None:
        """Make room for this many rows in all. Called by one process, before any is embedded."""
        if rows > self.rows_planned():
            self._array("r+").resize((rows, self.settings.dim))

    def commit_block(self, block: int, vectors: np.ndarray, table: pa.Table) -> None:
        """Write a block's rows, then the table that makes them count.

        Args:
            block: the block's number.
            vectors: (rows of the block that are planned, dim) int16 lattice; zeros where a row
                has no frame.
            table: the committed rows, see :data:`tasks.store.frames.SCHEMA`.
        """
        start = block * self.block_rows
        self._array("r+")[start : start + len(vectors)] = vectors.astype(np.float32) / np.float32(
            SCALE
        )
        # few values repeat: without dictionaries a table is a third smaller and faster to read
        _write_parquet(table, self._frames_path(block), use_dictionary=False)

    def committed(self, block: int) -> pa.Table | None:
        """A block's committed rows, or None when there are none yet."""
        path = self._frames_path(block)
        if not path.exists():
            return None
        with _understandably(path):
            return pq.read_table(path, schema=frames_schema.SCHEMA)

    def read_block(self, block: int) -> np.ndarray:
        """(rows, dim) int16 lattice of one block."""
        return RowReader(self).block(block)

    def read_rows(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(len(rows), dim) int16 lattice of any rows, in the order asked, a block at a time."""
        return RowReader(self)(np.asarray(rows, np.int64))

    def frames(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """All committed rows in row order. Reads every block's table.

        Args:
            columns: of :data:`tasks.store.frames.SCHEMA`; all of them by default.
        """
        return self._scan(columns or frames_schema.SCHEMA.names)

    def corpus(self, videos: Iterable[int], columns: Sequence[str]) -> "pd.DataFrame":
        """Some columns of the decodable frames of the given videos, in row order."""
        active = pa.array(sorted(videos), pa.int32())

        def wanted(table: pa.Table) -> pa.ChunkedArray:
            return pc.and_(
                pc.equal(table["state"], frames_schema.OK), pc.is_in(table["video"], active)
            )

        return self._scan(columns, wanted)

    def frames_at(self, rows: np.ndarray) -> "pd.DataFrame":
        """The committed frames of any rows, in the order asked; reads only their blocks' tables."""
        paths = [self._frames_path(block) for block in np.unique(rows // self.block_rows).tolist()]
        asked = pa.array(rows)
        names = frames_schema.SCHEMA.names
        found = self._scan(names, lambda table: pc.is_in(table["row"], asked), paths)
        places = np.searchsorted(found["row"].to_numpy(), rows)
        return found.iloc[places].reset_index(drop=True)

    def _scan(
        self,
        columns: Sequence[str],
        wanted: Callable[[pa.Table], pa.ChunkedArray] | None = None,
        paths: Sequence[Path] | None = None,
    ) -> "pd.DataFrame":
        """Read tables of blocks, all by default; of their rows only the wanted are ever held."""
        needed = list(columns) if wanted is None else [*dict.fromkeys([*columns, *FILTERED])]

        def read(path: Path) -> pa.Table:
            with _understandably(path):
                table = pq.ParquetFile(path).read(columns=needed, use_threads=False)
            return (table if wanted is None else table.filter(wanted(table))).select(columns)

        if paths is None:
            paths = sorted((self.path / "frames").glob("block-*.parquet"))
        schema = pa.schema([frames_schema.SCHEMA.field(name) for name in columns])
        with ThreadPoolExecutor(SCAN_THREADS) as threads:
            found = pa.concat_tables([schema.empty_table(), *threads.map(read, paths)])
        frames = found.to_pandas(split_blocks=True, self_destruct=True)
        del found
        pa.default_memory_pool().release_unused()  # or Arrow keeps the most it ever needed
        return frames

    def open_integers(self) -> zarr.Array:
        """The embeddings as they lie on disk, (rows, dim) int16 lattice.

        Twice as fast as the detour to float32 and back that the array's own filter makes.
        """
        with _understandably(self.path / EMBEDDINGS), _quiet_codec():
            floats = self._array("r")
            described = floats.metadata.to_dict()
            codecs: list[Any] = described["codecs"]  # type: ignore[assignment]
            described |= {
                "data_type": "int16",
                "fill_value": 0,
                "codecs": [c for c in codecs if c["name"] != "numcodecs.fixedscaleoffset"],
            }
            metadata = ArrayV3Metadata.from_dict(described)
            return zarr.Array(AsyncArray(metadata=metadata, store_path=floats.store_path))

    def _frames_path(self, block: int) -> Path:
        return self.path / "frames" / f"block-{block:08d}.parquet"

    def _array(self, mode: Literal["r", "r+"]) -> zarr.Array:
        with _quiet_codec():
            return zarr.open_array(self.path / EMBEDDINGS / "embedding", mode=mode)


class RowReader:
    """Reads lattice vectors of a store as it is now; keeps the array open between reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._array = store.open_integers()

    def block(self, block: int) -> np.ndarray:
        """(rows, dim) int16 lattice of one block."""
        return self._blocks(block, block + 1)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), dim) int16 lattice of any rows, in the order asked, some blocks at a time."""
        size, dim = self._store.block_rows, self._store.settings.dim
        together = max(1, READ_VALUES // (size * dim))
        vectors = np.zeros((len(rows), dim), np.int16)
        blocks = rows // size
        every = np.unique(blocks)
        for run in np.split(every, np.flatnonzero(np.diff(every) > 1) + 1):
            for first in run[::together].tolist():
                stop = min(first + together, int(run[-1]) + 1)
                here = np.flatnonzero((blocks >= first) & (blocks < stop))
                vectors[here] = self._blocks(first, stop)[rows[here] - first * size]
        return vectors

    def _blocks(self, first: int, stop: int) -> np.ndarray:
        size = self._store.block_rows
        with _understandably(self._store.path / EMBEDDINGS):
            return np.asarray(self._array[first * size : stop * size])


def _write_parquet(table: pa.Table, path: Path, use_dictionary: bool = True) -> None:
    """Write beside the target and rename: readers see the old file or the new one.

    Several may do so at once, on several machines: copies of a video share an index.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=use_dictionary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _index_to_table(facts: VideoFacts, index: VideoIndex) -> pa.Table:
    columns = {
        "pts": pa.array(index.pts),
        "dts": pa.array(index.dts),
        "key": pa.array(index.key),
        "frame_index": pa.array(index.frame_index),
    }
    if index.digest is not None:
        columns["digest"] = pa.array(index.digest)
    meta = {
        "facts": asdict(facts),
        "time_base": str(index.time_base),
        "end_pts": index.end_pts,
        "origin_pts": index.origin_pts,
        "seekable": index.seekable,
    }
    return pa.table(columns).replace_schema_metadata({"coreframe": json.dumps(meta)})


def _index_from_table(table: pa.Table) -> tuple[VideoFacts, VideoIndex]:
    meta = json.loads(table.schema.metadata[b"coreframe"])
    return VideoFacts(**meta["facts"]), VideoIndex(
        **{name: table[name].to_numpy() for name in ("pts", "dts", "key", "frame_index")},
        digest=table["digest"].to_numpy() if "digest" in table.column_names else None,
        time_base=Fraction(meta["time_base"]),
        end_pts=meta["end_pts"],
        origin_pts=meta["origin_pts"],
        seekable=meta["seekable"],
    )


@contextmanager
def _understandably(path: str | Path) -> Iterator[None]:
    """Name the file in whatever error its unreadable content gives rise to."""
    try:
        yield
    except (UsageError, CoreframeError):
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pa.ArrowException) as error:
        raise CoreframeError(
            f"{path} cannot be read ({error}). Restore it, or delete the store and ingest again."
        ) from error


@contextmanager
def _quiet_codec() -> Iterator[None]:
    """Silence the warning that this codec is not in the v3 specification; zarr reads it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield
