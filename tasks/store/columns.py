"""Columns that people add to a store: what they know of its frames, block by block.

``columns/NAME/columns.json`` says which columns there are and which file holds those of a block;
replacing it is the commit. A file has ``row`` and the columns, in row order, and any number of rows
a frame. Earlier versions of Coreframe pass all of it over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.store.frames import SCHEMA
from coreframe.tasks.store.seals import open_table, parse_json, sealed_json, sealed_table
from coreframe.tasks.store.store import Store

COLUMNS = "columns"
"""Folder of a store that holds them."""

MANIFEST = "columns.json"

RESERVED = frozenset({*SCHEMA.names, "hour", "typical", "like"})
"""Names of what every frame has of its own."""


class Kind(StrEnum):
    """What a column's values are. Any value may be missing."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


TYPES = {Kind.NUMBER: pa.float64(), Kind.BOOLEAN: pa.bool_(), Kind.TEXT: pa.string()}


@dataclass(frozen=True)
class ColumnTable:
    """A table of columns, as its ``columns.json`` describes it."""

    name: str
    kinds: dict[str, Kind]
    """Of each column, in their order."""
    blocks: dict[int, str]
    """block -> the file in its folder that holds the block's rows."""
    hashes: dict[int, str] = field(default_factory=dict)
    """block -> hash of what that file says."""
    lines: int = 0
    """Rows of all files."""
    several: bool = False
    """Whether some frame has more than one row."""
    generation: int = 0
    """How often it was written."""

    @property
    def schema(self) -> pa.Schema:
        """Of its files."""
        types = {name: TYPES[kind] for name, kind in self.kinds.items()}
        return pa.schema({"row": pa.int64(), **types})

    def file(self, block: int) -> str:
        """The file of the store that holds a block's rows."""
        return f"{COLUMNS}/{self.name}/{self.blocks[block]}"


def checked_name(name: str) -> str:
    """A name for a table of columns.

    Raises:
        UsageError: it cannot be one.
    """
    lower = name.lower()  # SQLite, which reads conditions, keeps names that differ otherwise
    kept = lower in ("frame", "row") or lower.startswith("sqlite_")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", name) or kept:
        raise UsageError(
            f"{name!r} cannot name a table of columns: use up to 63 letters, digits, - and _, a "
            "letter first; not frame or row, nor sqlite_ at its beginning."
        )
    return name


def column_tables(store: Store) -> dict[str, ColumnTable]:
    """All tables of columns that a store holds, by name.

    Raises:
        CoreframeError: what describes one is damaged.
    """
    names = [name for name in store.folder.names(COLUMNS) if _described(store, name)]
    return {name: _read_manifest(store, name) for name in names}


def _described(store: Store, name: str) -> bool:
    return store.folder.exists(f"{COLUMNS}/{name}/{MANIFEST}")


def _read_manifest(store: Store, name: str) -> ColumnTable:
    place = f"{COLUMNS}/{name}/{MANIFEST}"
    try:
        document = parse_json(place, store.folder.read(place))
        document["kinds"] = {one: Kind(kind) for one, kind in document["kinds"].items()}
        for key in ("blocks", "hashes"):
            document[key] = {int(block): value for block, value in document[key].items()}
        return ColumnTable(name, **document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(store, place, name, error) from error


def _damaged(store: Store, place: str, name: str, error: Exception) -> CoreframeError:
    why = " ".join(str(error).split()) or type(error).__name__
    return CoreframeError(
        f"{store.path}/{place} cannot be read ({why}): drop these columns with `coreframe columns "
        f"drop {name} --store {store.path}`, then add them again."
    )


def read_block(
    store: Store, table: ColumnTable, block: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """A block's ``row`` and columns, in row order; empty where it has none.

    Args:
        store: the store.
        table: of columns.
        block: which.
        columns: of them; all by default.

    Raises:
        CoreframeError: the file is damaged or gone.
    """
    wanted = ["row", *(table.kinds if columns is None else columns)]
    if block not in table.blocks:
        return table.schema.empty_table().select(wanted)
    name = table.file(block)
    try:
        found = open_table(name, store.folder.read(name)).read(columns=wanted, use_threads=False)
        return found.select(wanted)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise _damaged(store, name, table.name, error) from error


def state(store: Store) -> str:
    """A hash that is the same as long as all columns say the same; empty where there are none."""
    tables = column_tables(store)
    facts = [(name, table.kinds, sorted(table.hashes.items())) for name, table in tables.items()]
    return xxhash.xxh3_128(repr(sorted(facts)).encode()).hexdigest() if facts else ""


class ColumnWriter:
    """Writes a table of columns, or a part of its blocks; readers see all of it at once."""

    def __init__(self, store: Store, name: str, kinds: Mapping[str, Kind]) -> None:
        """Begin with what is there.

        Args:
            store: the store, of which this is the only writer.
            name: of the table.
            kinds: of all its columns.
        """
        self._store, self.before = store, column_tables(store).get(name)
        before = self.before or ColumnTable(name, {}, {})
        self._new = replace(
            before,
            kinds=dict(kinds),
            blocks=dict(before.blocks),
            hashes=dict(before.hashes),
            generation=before.generation + 1,
        )
        self._lines, self._several = before.lines, False

    def write(self, block: int, table: pa.Table) -> None:
        """Write all rows of a block, in row order; of none there will be no file."""
        new, store = self._new, self._store
        table = table.cast(new.schema)
        own = _hash(table) if len(table) else ""
        if own == new.hashes.get(block, ""):
            return
        if block in new.blocks:
            self._lines -= len(read_block(store, new, block, []))
        new.blocks.pop(block, None)
        new.hashes.pop(block, None)
        if len(table) == 0:
            return
        self._lines += len(table)
        self._several |= _repeats(table)
        new.blocks[block] = f"block-{block:08d}-{new.generation}.parquet"
        new.hashes[block] = own
        store.guard()
        name = new.file(block)
        store.folder.write(name, sealed_table(name, table))

    def commit(self, *, forget: bool = False) -> ColumnTable:
        """Let readers see it, and delete what the one before took the place of.

        Args:
            forget: delete also what this takes the place of, though somebody may be reading it.
        """
        new = replace(self._new, lines=self._lines, several=self._several or self._kept_several())
        before, folder = self.before, self._store.folder
        if before is not None and (new.blocks, new.kinds) == (before.blocks, before.kinds):
            return before
        document = asdict(new)
        del document["name"]
        place = f"{COLUMNS}/{new.name}/{MANIFEST}"
        self._store.guard()
        folder.write(place, sealed_json(place, document))
        # whoever is reading the one before goes on
        _delete_others(self._store, new, None if forget else before)
        return new

    def _kept_several(self) -> bool:
        """Whether some frame of the blocks that stay as they were has more than one row."""
        before, store = self.before, self._store
        if before is None or not before.several:
            return False
        kept = [one for one, name in self._new.blocks.items() if before.blocks.get(one) == name]
        return any(_repeats(read_block(store, before, block, [])) for block in kept)


def _repeats(table: pa.Table) -> bool:
    """Whether some row of a block has several lines."""
    return bool((np.diff(table["row"].to_numpy()) == 0).any())


def _delete_others(store: Store, *kept: ColumnTable | None) -> None:
    """Delete all files in a table's folder but those of some of its generations."""
    tables = [table for table in kept if table is not None]
    held = {MANIFEST, *(name for table in tables for name in table.blocks.values())}
    folder = f"{COLUMNS}/{tables[0].name}"
    for name in store.folder.names(folder):
        if name not in held:
            store.folder.delete(f"{folder}/{name}")


def _hash(table: pa.Table) -> str:
    """Of what a table says, however it lies in memory."""
    found = xxhash.xxh3_128()
    for column in table.columns:
        found.update(column.is_null().to_numpy().tobytes())
        if pa.types.is_string(column.type):
            texts = column.fill_null("")
            found.update(pc.binary_length(texts).to_numpy().tobytes())
            found.update("".join(texts.to_pylist()).encode())
        else:
            found.update(column.cast(pa.float64()).fill_null(0).to_numpy().tobytes())
    return found.hexdigest()


def drop(store: Store, name: str) -> None:
    """Remove a table of columns.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in store.folder.names(COLUMNS):
        raise UsageError(_unknown(store, name))
    store.guard()
    store.folder.delete(f"{COLUMNS}/{name}/{MANIFEST}")
    store.folder.delete(f"{COLUMNS}/{name}")


def _unknown(store: Store, name: str) -> str:
    held = ", ".join(store.folder.names(COLUMNS)) or "none"
    return f"the store {store.path} has no columns named {name}: it has {held}."


def erase_rows(store: Store, gone: NDArray[np.int64]) -> None:
    """Erase what all tables of columns say of some rows.

    What an interrupted run left, and what was kept for readers of the generation before, may say
    something of them, too: it goes as a whole.

    Raises:
        CoreframeError: one of them is damaged.
    """
    asked = np.sort(gone)
    for name in store.folder.names(COLUMNS):
        if not _described(store, name):
            store.guard()
            store.folder.delete(f"{COLUMNS}/{name}")
    for table in column_tables(store).values():
        writer = ColumnWriter(store, table.name, table.kinds)
        changed = False
        for block in sorted(table.blocks):
            start = block * store.block_rows
            low, high = np.searchsorted(asked, (start, start + store.block_rows))
            if low == high:
                continue
            held = read_block(store, table, block)
            stays = ~np.isin(held["row"].to_numpy(), asked[low:high])
            if not stays.all():
                writer.write(block, held.filter(stays))
                changed = True
        if changed:
            table = writer.commit(forget=True)
        store.guard()
        _delete_others(store, table)


def faults(store: Store) -> Iterator[tuple[str, str]]:
    """The tables of columns that cannot be read, each with why."""
    for name in store.folder.names(COLUMNS):
        if not _described(store, name):
            yield name, f"{store.path}/{COLUMNS}/{name} was never finished"
            continue
        try:
            table = _read_manifest(store, name)
            for block in table.blocks:
                if _hash(read_block(store, table, block)) != table.hashes[block]:
                    yield name, f"{store.path}/{table.file(block)} is not what was written last"
                    break
        except CoreframeError as error:
            yield name, str(error).partition(": drop these")[0]
