"""Add columns to a store: a file's lines, joined with frames and kept block by block."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coreframe.tasks.columns.join import Joiner
from coreframe.tasks.columns.source import Source, open_source
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.columns import (
    ColumnTable,
    ColumnWriter,
    checked_name,
    column_tables,
    read_block,
)
from coreframe.tasks.store.store import Store

GROUPS = 128
"""Into how many parts lines are put aside by their rows, at most; one of them is in memory."""


@dataclass(frozen=True)
class AddedColumns:
    """What became of a file."""

    name: str
    """Of the table of columns."""
    columns: dict[str, str]
    """Of the file, each with its kind."""
    lines: int
    """Of the file."""
    matched: int
    """Lines that are about a frame of the store."""
    frames: int
    """Frames of the store that they are about."""
    unmatched: int
    """Lines that are not."""
    first_unmatched: str
    """The first of these, and why; empty where there is none."""


def add_columns(store: Store, name: str, file: str) -> AddedColumns:
    """Join a file with a store's frames and keep what it says. Called by the only writer.

    Where the store has columns of that name, they stay for videos that the file does not name, and
    are replaced for those that it does.

    Args:
        store: the store.
        name: of the table of columns.
        file: see :func:`coreframe.tasks.columns.source.open_source`.

    Raises:
        UsageError: the file or the name cannot be used, or no line is about a frame of the store.
    """
    checked_name(name)
    _refuse_other_case(store, name)
    source = open_source(file)
    writer = ColumnWriter(store, name, source.kinds)
    _refuse_other_kinds(source, writer.before)
    catalogue = store.read_catalogue()
    joiner = Joiner(store, catalogue)
    lines = matched = 0
    first_unmatched, named = "", set()
    with TemporaryDirectory() as folder:
        aside = _PutAside(folder, source, store)
        with aside:
            for table in source.batches():
                rows = joiner.rows(table, source.key)
                found = rows >= 0
                lines, matched = lines + len(rows), matched + int(found.sum())
                named |= set(pc.unique(table["video"]).to_pylist())
                if not first_unmatched and not found.all():
                    first_unmatched = _described(table, int(np.argmin(found)), source, joiner)
                kept = table.select(list(source.kinds)).add_column(0, "row", pa.array(rows))
                aside.put(kept.filter(found), rows[found])
        if matched == 0:
            raise UsageError(_nothing_matches(store, file, lines, first_unmatched, joiner))
        replaced = [video for video in catalogue.videos if video.path in named and video.rows]
        spans = [(video.first_row, video.first_row + video.rows) for video in replaced]
        frames = 0
        for block, table in aside.blocks():
            frames += len(pc.unique(table["row"]))
            writer.write(block, _with_others(store, writer.before, block, table, spans))
        _replace_elsewhere(store, writer, aside.written, spans)
        writer.commit()
    kinds = {one: str(kind) for one, kind in source.kinds.items()}
    return AddedColumns(name, kinds, lines, matched, frames, lines - matched, first_unmatched)


class Counted(Protocol):
    """What became of a file, as it is written, too."""

    @property
    def lines(self) -> int: ...
    @property
    def matched(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def first_unmatched(self) -> str: ...


def said(added: Counted) -> str:
    """What became of a file, in words."""
    found = f"{added.matched:,} of {added.lines:,} lines are about {added.frames:,} frames"
    first = added.first_unmatched
    return f"{found}; the first that is about none: {first}" if first else found


def name_of(file: str) -> str:
    """What the columns of a file are called where nobody says it: as the file."""
    letters = [
        one if one.isascii() and (one.isalnum() or one in "_-") else "_" for one in Path(file).stem
    ]
    return "".join(letters)[:63]


class _PutAside:
    """Joined lines on disk, in parts of neighbouring blocks."""

    def __init__(self, folder: str, source: Source, store: Store) -> None:
        self._folder, self._block_rows = Path(folder), store.block_rows
        blocks = -(-max(1, store.rows_planned()) // store.block_rows)
        self._together = -(-blocks // GROUPS)
        self._schema = ColumnTable("", source.kinds, {}).schema
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._open = ExitStack()
        self.written: set[int] = set()
        """Blocks that were given out."""

    def __enter__(self) -> None:
        self._open.__enter__()

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def put(self, table: pa.Table, rows: np.ndarray) -> None:
        """Put lines aside by their rows."""
        part = rows // (self._block_rows * self._together)
        for number in np.unique(part).tolist():
            if number not in self._writers:
                writer = pa.ipc.new_stream(str(self._file(number)), self._schema)
                self._writers[number] = self._open.enter_context(writer)
            self._writers[number].write_table(table.filter(part == number).cast(self._schema))

    def blocks(self) -> Iterator[tuple[int, pa.Table]]:
        """All blocks that have lines, with these by rows, and of one row as in the file."""
        for number in sorted(self._writers):
            with pa.ipc.open_stream(pa.memory_map(str(self._file(number)))) as reader:
                table = reader.read_all().combine_chunks()
            row = table["row"].to_numpy()
            order = np.argsort(row, kind="stable")
            table, row = table.take(pa.array(order)), row[order]
            edges = np.flatnonzero(np.diff(row // self._block_rows)) + 1
            starts = [0, *edges.tolist()]
            for start, stop in zip(starts, [*starts[1:], len(row)], strict=True):
                block = int(row[start]) // self._block_rows
                self.written.add(block)
                yield block, table.slice(start, stop - start)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.arrow"


def _refuse_other_case(store: Store, name: str) -> None:
    for other in column_tables(store):
        if other != name and other.lower() == name.lower():
            raise UsageError(
                f"the store {store.path} has columns named {other}, from which {name} differs in "
                f"capitals alone: add to {other}, or give another name."
            )


def _refuse_other_kinds(source: Source, before: ColumnTable | None) -> None:
    if before is not None and before.kinds != source.kinds:
        had = ", ".join(f"{name} ({kind})" for name, kind in before.kinds.items())
        has = ", ".join(f"{name} ({kind})" for name, kind in source.kinds.items())
        raise UsageError(
            f"{source.file} has the columns {has}, and {before.name} those of an earlier file: "
            f"{had}. Give these columns another name, or drop the earlier ones first."
        )


def _with_others(
    store: Store,
    before: ColumnTable | None,
    block: int,
    table: pa.Table,
    spans: list[tuple[int, int]],
) -> pa.Table:
    """A block's new lines with the earlier ones of other videos, in the order of rows."""
    if before is None or block not in before.blocks:
        return table
    held = read_block(store, before, block)
    row = held["row"].to_numpy()
    stays = np.ones(len(row), bool)
    for start, stop in spans:
        stays &= (row < start) | (row >= stop)
    every = pa.concat_tables([held.filter(stays), table.cast(held.schema)])
    return every.take(pa.array(np.argsort(every["row"].to_numpy(), kind="stable")))


def _replace_elsewhere(
    store: Store, writer: ColumnWriter, written: set[int], spans: list[tuple[int, int]]
) -> None:
    """Remove what was said of videos in blocks of which the file says nothing now."""
    if writer.before is None:
        return
    touched = {block for span in spans for block in store.blocks_of(*span)}
    for block in sorted(touched & set(writer.before.blocks) - written):
        nothing = writer.before.schema.empty_table()
        writer.write(block, _with_others(store, writer.before, block, nothing, spans))


def _described(table: pa.Table, place: int, source: Source, joiner: Joiner) -> str:
    """A line that is about no frame, and why."""
    video, value = table["video"][place].as_py(), table[source.key][place].as_py()
    at = f"at {value} s" if source.by_time else f"frame {value}"
    return f"{at} of {video}: {joiner.why_not(video)}"


def _nothing_matches(store: Store, file: str, lines: int, first: str, joiner: Joiner) -> str:
    if lines == 0:
        return f"{file} has no lines: nothing to keep."
    known = f" (one is {joiner.some_video})" if joiner.some_video else ""
    return (
        f"none of the {lines:,} lines of {file} is about a frame of the store {store.path}; the "
        f"first is {first}. Name videos as `coreframe info` does{known}."
    )
