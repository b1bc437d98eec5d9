"""What is known of the frames of a corpus: what every frame has, and what people have added."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.expression import FRAME, LACKING, Condition
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.columns import ColumnTable, Kind, column_tables, read_block
from coreframe.tasks.store.store import Store

OWN = {
    "sharpness": Kind.NUMBER,
    "luminance": Kind.NUMBER,
    "time_s": Kind.NUMBER,
    "frame_index": Kind.NUMBER,
    "hour": Kind.NUMBER,
    "typical": Kind.NUMBER,
    "video": Kind.TEXT,
    "suspect": Kind.BOOLEAN,
    "flat": Kind.BOOLEAN,
}
"""What every frame has: columns of the frames table, but for the next."""

DERIVED = {"hour": ("video", "time_s"), "typical": ()}
"""Columns that are computed: of these columns of the frames table, or of vectors."""

HOUR_S, DAY_S = 3600, 86_400


@dataclass(frozen=True)
class Column:
    """A column of one of the tables."""

    table: str
    """FRAME, or the name of a table of columns."""
    name: str
    kind: Kind

    @property
    def read(self) -> tuple[str, ...]:
        """The columns of the frames table that it takes."""
        return DERIVED.get(self.name, (self.name,)) if self.table == FRAME else ()


class KnownColumns:
    """The columns that may be named.

    Attributes:
        kinds: of each column, by table; FRAME has what every frame has.
    """

    def __init__(self, tables: Mapping[str, ColumnTable]) -> None:
        self.tables = tables
        own = {name: table.kinds for name, table in tables.items()}
        self.kinds: dict[str, Mapping[str, Kind]] = {FRAME: OWN, **own}

    @classmethod
    def of(cls, store: Store) -> "KnownColumns":
        """Those of a store."""
        return cls(column_tables(store))

    def find(self, name: str, option: str, *kinds: Kind) -> Column:
        """Look a column up.

        Args:
            name: of the column, or ``TABLE.COLUMN``.
            option: that names it.
            kinds: that it may be of.

        Raises:
            UsageError: there is none, or several, or it is of another kind.
        """
        found = [Column(table, name, own[name]) for table, own in self.kinds.items() if name in own]
        table, _, column = name.partition(".")
        if not found and column in self.kinds.get(table, {}):
            found = [Column(table, column, self.kinds[table][column])]
        if not found:
            every = sorted({one for own in self.kinds.values() for one in own})
            raise UsageError(
                f"{option} {name}: there is no such column; use {', '.join(every)}; or {LACKING}."
            )
        if len(found) > 1:
            tables = " or ".join(f"{one.table}.{name}" for one in found)
            raise UsageError(f"{option} {name}: several tables have it: write {tables}.")
        if found[0].kind not in kinds:
            raise UsageError(
                f"{option} {name}: it holds {_values(found[0].kind)}, and {option} takes "
                f"{' or '.join(map(_values, kinds))}."
            )
        return found[0]

    def condition(self, text: str) -> Condition:
        """See :class:`coreframe.tasks.select.expression.Condition`."""
        return Condition(text, self.kinds)


def _of_day_s(created: str) -> float:
    """Seconds since midnight of a moment as the catalogue has it; NaN of none."""
    if not created:
        return np.nan
    clock = datetime.fromisoformat(created)
    return clock.hour * HOUR_S + clock.minute * 60.0 + clock.second + clock.microsecond / 1e6


def _values(kind: Kind) -> str:
    return {Kind.NUMBER: "numbers", Kind.BOOLEAN: "booleans", Kind.TEXT: "text"}[kind]


class FrameColumns:
    """The values of columns for the frames of a corpus, read block by block when asked for."""

    def __init__(
        self,
        frames: pd.DataFrame,
        known: KnownColumns | None = None,
        store: Store | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            frames: the corpus in row order, with the columns of the frames table that are asked
                for here.
            known: the columns there are.
            store: that holds the tables of columns; without it there are none.
            catalogue: names the videos.
        """
        self.known = known or KnownColumns({})
        self._frames, self._store = frames, store
        self._rows = frames["row"].to_numpy().astype(np.int64)
        self._videos = [] if catalogue is None else catalogue.videos

    def __len__(self) -> int:
        return len(self._rows)

    def largest(self, column: Column) -> NDArray[np.number]:
        """(n,) the largest value that each frame has of numbers or booleans; NaN for none."""
        return self._extreme(column, np.fmax)

    def smallest(self, column: Column) -> NDArray[np.number]:
        """(n,) likewise the smallest."""
        return self._extreme(column, np.fmin)

    def values(self, column: Column, max_by: Column | None = None) -> NDArray[np.object_]:
        """(n,) the one value of each frame: text, a boolean or a number; None for none.

        Args:
            column: which.
            max_by: of several rows a frame that with the largest value here counts, of equal ones
                the first value; None where all say the same.

        Raises:
            UsageError: a frame has several.
        """
        found: NDArray[np.object_] = np.full(len(self._rows), None, object)
        if column.table == FRAME:
            found[:] = self._own(column.name).tolist()
            return found
        names = [column.name] + ([] if max_by is None else [max_by.name])
        for place, table in self._blocks(column.table, list(dict.fromkeys(names))):
            lines = pd.DataFrame({"place": place, "value": table[column.name].to_pandas()})
            lines["value"] = lines["value"].astype(object)
            if max_by is not None:
                by = table[max_by.name].cast(pa.float64()).to_numpy()
                lines["by"] = np.where(np.isnan(by), -np.inf, by)
                lines = lines.sort_values(["by", "value"], ascending=[False, True], kind="stable")
            lines = lines[lines["value"].notna()]
            first = lines.drop_duplicates("place")
            if max_by is None:
                distinct = lines.drop_duplicates()
                several = distinct["place"][distinct.duplicated("place")]
                if len(several):
                    self._refuse_several(column, int(several.iloc[0]))
            found[first["place"].to_numpy()] = first["value"].to_numpy()
        return found

    def holds(self, condition: Condition) -> NDArray[np.bool_]:
        """(n,) whether each frame meets a condition."""
        found = np.zeros(len(self._rows), bool)
        own = {name: self._own(name) for name in condition.reads.get(FRAME, [])}
        for start, stop, block in self._spans():
            rows, values = self._rows[start:stop], {}
            values[FRAME] = pa.table(
                {"row": rows, **{name: one[start:stop] for name, one in own.items()}}
            )
            for name, columns in condition.reads.items():
                if name != FRAME and self._store is not None:
                    table = read_block(self._store, self.known.tables[name], block, columns)
                    values[name] = table.filter(np.isin(table["row"].to_numpy(), rows))
            found[start:stop] = condition.holds(rows, values)
        return found

    def _own(self, name: str) -> NDArray[np.generic]:
        """(n,) values of what every frame has."""
        if name == "video":
            names = np.array([video.path for video in self._videos], object)
            return names[self._frames["video"].to_numpy()]
        if name == "hour":
            began = np.array([_of_day_s(video.created) for video in self._videos])
            at_s = began[self._frames["video"].to_numpy()] + self._frames["time_s"].to_numpy()
            return np.floor(at_s % DAY_S / HOUR_S)
        return self._frames[name].to_numpy()

    def _extreme(
        self, column: Column, of_two: Callable[..., NDArray[np.float64]]
    ) -> NDArray[np.number]:
        if column.table == FRAME:
            own: NDArray[np.number] = self._own(column.name)  # type: ignore[assignment]
            return own.astype(np.float64) if own.dtype == bool else own
        found = np.full(len(self._rows), np.nan)
        for place, table in self._blocks(column.table, [column.name]):
            values = table[column.name].cast(pa.float64()).to_numpy()
            starts = np.flatnonzero(np.diff(place, prepend=-1))
            found[place[starts]] = of_two.reduceat(values, starts)  # type: ignore[attr-defined]
        return found

    def _blocks(
        self, table: str, columns: list[str]
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Of each block the lines about frames of the corpus, with the places of these."""
        assert self._store is not None
        for start, stop, block in self._spans():
            found = read_block(self._store, self.known.tables[table], block, columns)
            row = found["row"].to_numpy()
            own = np.isin(row, self._rows[start:stop])
            if own.any():
                place = start + np.searchsorted(self._rows[start:stop], row[own])
                yield place, found.filter(own)

    def _spans(self) -> Iterator[tuple[int, int, int]]:
        """Where the frames of each block begin and end, and which block it is."""
        block_rows = 1 + int(self._rows.max(initial=0))
        if self._store is not None:
            block_rows = self._store.block_rows
        blocks = self._rows // block_rows
        edges = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(blocks)]
        for start, stop in pairwise(edges):
            if stop > start:
                yield start, stop, int(blocks[start])

    def _refuse_several(self, column: Column, place: int) -> None:
        frame = self._frames.iloc[place]
        video = self._videos[int(frame["video"])].path if self._videos else frame["video"]
        raise UsageError(
            f"balance {column.name}: row {frame['row']}, of {video}, has several values: say by "
            f"which column one is taken, with {column.name}:max-by=COLUMN."
        )
