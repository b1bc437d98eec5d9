"""A store on disk: where everything is, and how it is written so that nothing is half there."""

import atexit
import errno
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from numpy.typing import NDArray
from zarr.core.sync import cleanup_resources

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.scale import SCALE
from coreframe.tasks.storage.folders import GUARD, LocalFolder, explain_full_disk, open_folder
from coreframe.tasks.store import catalogue_file
from coreframe.tasks.store import frames as frames_schema
from coreframe.tasks.store.array import (
    ARRAY_DOCUMENT,
    array_document,
    group_document,
    quiet_codec,
    read_array_document,
    read_settings,
    write_rows,
    write_settings_copy,
)
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.indexes import index_from_table, index_name, index_to_table
from coreframe.tasks.store.reading import mend, understandably
from coreframe.tasks.store.row_reader import (
    ROWS,
    VECTORS,
    RowReader,
    frames_name,
    row_ranges,
    vectors_hash,
)
from coreframe.tasks.store.seals import SEAL_KEY, open_table, sealed_table
from coreframe.tasks.store.settings import (
    ARRAY,
    EMBEDDINGS,
    FORMAT_VERSION,
    MADE,
    SETTINGS_COPY,
    Place,
    StoreSettings,
)
from coreframe.tasks.store.settings import FRAMES as FRAME_PLACE
from coreframe.tasks.video.index import VideoFacts, VideoIndex

if TYPE_CHECKING:  # workers never need pandas, which takes 35 MB of each
    import pandas as pd

# Zarr gives its thread 0.2 s to stop at exit and prints a stack of calls when that was too short.
# The thread is a daemon: it ends with the process.
atexit.unregister(cleanup_resources)


FRAMES = "frames"

SCAN_TABLES = 16
"""Tables of blocks of which the wanted rows are sought together."""


def not_held() -> None:
    """Guard a store of which this process holds no lease: nothing."""


class Store:
    """A block store. All arrays in and out are lattice integers; see `coreframe.tasks.lattice`.

    Blocks are `block_rows` consecutive rows. A block's Parquet file lists the rows that are
    committed; it is written after their embeddings, to a temporary name and then renamed, so
    its rows are in the store wholly or not at all. Growing a block writes the same embeddings
    of the rows it already had, so no moment exists at which a committed row is missing.
    """

    def __init__(self, path: str | Path, settings: StoreSettings) -> None:
        self.folder = open_folder(path)
        self.path = self.folder.name
        self.settings = settings
        self.guard: Callable[[], None] = not_held
        """Raises when this process may no longer write; see `coreframe.tasks.store.lock`."""

    @classmethod
    def exists(cls, path: str | Path) -> bool:
        """Whether there is a store, of whatever format."""
        return open_folder(path).exists(MADE)

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open an existing store.

        Raises:
            UsageError: there is none, or it is of a newer format.
        """
        folder = open_folder(path)
        with understandably(folder.name, MADE):
            try:
                written = read_settings(folder, FORMAT_VERSION)
            except (FileNotFoundError, NotADirectoryError):
                if folder.exists(SETTINGS_COPY):
                    raise
                raise UsageError(
                    f"no store at {path}: make one with `coreframe ingest VIDEOS --store {path}`."
                ) from None
            return cls(path, StoreSettings(**written))

    @classmethod
    def open_or_create(
        cls, path: str | Path, settings: StoreSettings, block_rows: int | None = None
    ) -> "Store":
        """Open the store for adding to it, or make it.

        Args:
            path: its folder, or the URL of one in an object store.
            settings: what it must have been made with, its ``block_rows`` aside.
            block_rows: of a new store; an existing one must have it too, if given.

        Raises:
            UsageError: it was made with other settings, or the folder cannot be written.
        """
        folder = open_folder(path)
        settings = replace(settings, block_rows=block_rows or settings.block_rows)
        try:
            if not folder.exists(MADE):
                others = set(folder.names()) - {EMBEDDINGS, GUARD}
                if SETTINGS_COPY in others:
                    raise CoreframeError(f"{folder.name}/{MADE} is missing: {mend(folder.name)}.")
                foreign = Path(path).is_file() or others
                if foreign and not folder.exists(MADE):  # or another run has made it just now
                    raise UsageError(
                        f"{path} is not a store and not empty: name a new or empty folder."
                    )
                folder.swap(MADE, None, group_document(settings))  # of several, the first makes it
            elif isinstance(folder, LocalFolder) and not folder.writable():
                raise PermissionError(errno.EACCES, "it may only be read here")
            store = cls.open(path)
            store._refuse_other(replace(settings, block_rows=block_rows or store.block_rows))
            if not folder.exists(SETTINGS_COPY):
                write_settings_copy(folder, store.settings)
            if not folder.exists(ARRAY_DOCUMENT):
                store._begin_array()
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"cannot write the store {path}: {why}.") from error
        return store

    def _begin_array(self) -> None:
        """Make the array, of no rows yet."""
        if self.folder.names(FRAMES):
            raise CoreframeError(f"{self.path}/{ARRAY_DOCUMENT} is missing: {mend(self.path)}.")
        if self.settings.format_version == 1:
            raise UsageError(
                f"the store {self.path} was never finished by the earlier version that began it, "
                "and holds nothing: delete it, or name another folder."
            )
        self.folder.swap(ARRAY_DOCUMENT, None, array_document(self.settings, 0))

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
        """See :func:`coreframe.tasks.store.catalogue_file.read_catalogue`."""
        return catalogue_file.read_catalogue(self.folder)

    def write_catalogue(self, catalogue: Catalogue) -> None:
        """Replace the catalogue."""
        self.guard()
        catalogue_file.write_catalogue(self.folder, catalogue)

    def write_index(self, fingerprint: str, facts: VideoFacts, index: VideoIndex) -> None:
        """Keep what is known of a video under its content's fingerprint: copies share it."""
        table = index_to_table(facts, index, self.settings.format_version)
        name = index_name(fingerprint)
        self.folder.write(name, sealed_table(name, table))

    def has_index(self, fingerprint: str) -> bool:
        return self.folder.exists(index_name(fingerprint))

    def delete_index(self, fingerprint: str) -> None:
        """Forget what is known of a content; the next run that finds it indexes it again."""
        self.folder.delete(index_name(fingerprint))

    def read_index(self, fingerprint: str) -> VideoIndex:
        return self.read_facts_and_index(fingerprint)[1]

    def read_facts_and_index(self, fingerprint: str) -> tuple[VideoFacts, VideoIndex]:
        name = index_name(fingerprint)
        with understandably(self.path, name):
            return index_from_table(open_table(name, self.folder.read(name)).read())

    # --- rows ------------------------------------------------------------------------------

    @property
    def block_rows(self) -> int:
        return self.settings.block_rows

    def blocks_of(self, start_row: int, stop_row: int) -> range:
        """The blocks that hold the rows ``start_row`` to ``stop_row`` (half-open)."""
        return range(start_row // self.block_rows, -(-stop_row // self.block_rows))

    def rows_planned(self) -> int:
        """Rows of the embedding array, committed or not."""
        rows: int = read_array_document(self.folder, self.settings)["shape"][0]
        return rows

    def plan_rows(self, rows: int) -> None:
        """Make room for this many rows in all. Called by one process, before any is embedded."""
        if rows != self.rows_planned():
            self.guard()
            write_rows(self.folder, self.settings, rows)

    def commit_block(self, block: int, vectors: NDArray[np.int16], table: pa.Table) -> None:
        """Write a block's rows, then the table that makes them count.

        Args:
            block: the block's number.
            vectors: (rows of the block that are planned, dim) int16 lattice; zeros where a row
                has no frame.
            table: the committed rows, see :data:`coreframe.tasks.store.frames.SCHEMA`.
        """
        start = block * self.block_rows
        with explain_full_disk(self.path):
            numbers: NDArray[Any] = vectors
            if self.settings.format_version == 1:  # whose array is a float32 one by a filter
                numbers = vectors.astype(np.float32) / np.float32(SCALE)
            self._array("r+")[start : start + len(vectors)] = numbers
        rows = table["row"].to_numpy() - start
        facts = {VECTORS: vectors_hash(vectors[rows]), ROWS: json.dumps(row_ranges(rows))}
        name = frames_name(block)
        # few values repeat: without dictionaries a table is a third smaller and faster to read
        data = sealed_table(name, table.replace_schema_metadata(facts), use_dictionary=False)
        self.folder.write(name, data)

    def committed(self, block: int) -> pa.Table | None:
        """A block's committed rows, or None when there are none yet."""
        name = frames_name(block)
        with understandably(self.path, name):
            try:
                table = open_table(name, self.folder.read(name)).read(use_threads=False)
            except FileNotFoundError:
                return None
            table = _completed(table, frames_schema.SCHEMA.names)
            return _without_seal(table).select(frames_schema.SCHEMA.names)

    def take_back(self, block: int) -> None:
        """Undo a block's commit: its rows are missing again."""
        self.folder.delete(frames_name(block))

    def row_reader(self, place: Place = FRAME_PLACE) -> RowReader:
        """What reads vectors of the store as it is now."""
        return RowReader(self.folder, self.settings, place=place)

    def read_block(self, block: int) -> NDArray[np.int16]:
        """(rows, dim) int16 lattice of one block."""
        return self.row_reader().block(block)

    def read_rows(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int16]:
        """(len(rows), dim) int16 lattice of any rows, in the order asked, a block at a time."""
        return self.row_reader()(np.asarray(rows, np.int64))

    def frames(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """All committed rows in row order. Reads every block's table.

        Args:
            columns: of :data:`coreframe.tasks.store.frames.SCHEMA`; all of them by default.
        """
        return self.scan(columns or frames_schema.SCHEMA.names)

    def frames_at(
        self, rows: NDArray[np.int64], columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """The committed frames of any rows, in the order asked; reads only their blocks' tables.

        Args:
            rows: which.
            columns: of :data:`coreframe.tasks.store.frames.SCHEMA`; all by default.

        Raises:
            CoreframeError: one of them is not in the store.
        """
        blocks = np.unique(rows // self.block_rows).tolist()
        names = [name for name in map(frames_name, blocks) if self.folder.exists(name)]
        asked = pa.array(rows)
        columns = list(columns or frames_schema.SCHEMA.names)
        needed = [*dict.fromkeys(["row", *columns])]
        found = self.scan(needed, lambda table: pc.is_in(table["row"], asked), names=names)
        there = found["row"].to_numpy()
        lacking = rows[~np.isin(rows, there)]
        if len(lacking):
            raise CoreframeError(
                f"the store {self.path} has no row {lacking[0]}: ingest its video again, then "
                "select again."
            )
        places = np.searchsorted(there, rows)
        return found[columns].iloc[places].reset_index(drop=True)

    def scan(
        self,
        columns: Sequence[str],
        wanted: Callable[[pa.Table], pa.ChunkedArray] | None = None,
        by: Sequence[str] = (),
        names: Sequence[str] | None = None,
    ) -> "pd.DataFrame":
        """Read tables of blocks; of their rows only the wanted are ever held.

        Args:
            columns: of the tables.
            wanted: tells of each row whether it is; all are by default.
            by: further columns that this needs.
            names: the tables; all by default.
        """
        needed = [*dict.fromkeys([*columns, *by])]

        def read(name: str) -> pa.Table:
            with understandably(self.path, name):
                file = open_table(name, self.folder.read(name))
                there = [column for column in needed if column in file.schema_arrow.names]
                return _completed(file.read(columns=there, use_threads=False), needed).select(
                    needed
                )

        def read_some(some: Sequence[str]) -> pa.Table:
            table = pa.concat_tables([read(name) for name in some])
            return (table if wanted is None else table.filter(wanted(table))).select(columns)

        if names is None:
            names = [frames_name(block) for block in self.committed_blocks()]
        schema = pa.schema([frames_schema.SCHEMA.field(name) for name in columns])
        groups = [names[start : start + SCAN_TABLES] for start in range(0, len(names), SCAN_TABLES)]
        with ThreadPoolExecutor(self.folder.at_once) as threads:
            found = pa.concat_tables([schema.empty_table(), *threads.map(read_some, groups)])
        frames = found.to_pandas(split_blocks=True, self_destruct=True)
        del found
        pa.default_memory_pool().release_unused()  # or Arrow keeps the most it ever needed
        return frames

    def committed_blocks(self) -> list[int]:
        """The blocks of which rows are committed, in order."""
        names = self.folder.names(FRAMES)
        found = [re.fullmatch(r"block-(\d{8,})\.parquet", name) for name in names]
        return [int(one[1]) for one in found if one]

    def _array(self, mode: Literal["r", "r+"]) -> zarr.Array:
        with quiet_codec(), understandably(self.path, ARRAY_DOCUMENT):
            return zarr.open_array(self.folder.zarr_store(), path=ARRAY, mode=mode)


def _completed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """With the columns that tables of earlier versions lack."""
    for name in [name for name in columns if name not in table.column_names]:
        field, value = frames_schema.SCHEMA.field(name), frames_schema.UNSAID[name]
        table = table.append_column(field, pa.repeat(pa.scalar(value, field.type), len(table)))
    return table


def _without_seal(table: pa.Table) -> pa.Table:
    """As it was written, to be written again."""
    facts = dict(table.schema.metadata or {})
    facts.pop(SEAL_KEY.encode(), None)
    return table.replace_schema_metadata(facts or None)
