"""Conditions on frames as people write them: an expression of SQL, as SQLite reads it.

SQLite is in Python's standard library, its dialect is documented, and it tells which columns an
expression reads. A condition is looked at against ``frame``, which has a row for each frame, and
the tables of columns that it names. Frames of which a table says nothing have no value there
(NULL); of those of which it says several things, each is looked at.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.columns import Kind

FRAME = "frame"
"""The table of what every frame has."""

FUNCTIONS = (
    *("abs", "coalesce", "glob", "ifnull", "iif", "instr", "length", "like", "lower", "ltrim"),
    *("max", "min", "nullif", "replace", "round", "rtrim", "substr", "substring", "trim"),
    *("typeof", "unicode", "upper"),
)
"""What may be called: nothing that depends on chance or on the time."""

LACKING = "add it, or add it again where it was dropped, with `coreframe columns add`"
"""What makes a condition or a limit right that names a column which the store does not have."""

_TYPES = {Kind.NUMBER: "REAL", Kind.BOOLEAN: "INTEGER", Kind.TEXT: "TEXT"}


class Condition:
    """An expression over tables of columns, that tells which frames meet it.

    Attributes:
        reads: the columns of each table that it reads.
    """

    def __init__(self, text: str, tables: Mapping[str, Mapping[str, Kind]]) -> None:
        """Look at an expression.

        Args:
            text: the expression.
            tables: what there is: columns and their kinds, by table; FRAME among them.

        Raises:
            UsageError: it cannot be read, or names what there is not.
        """
        self._text, self._kinds = text, tables
        self.reads: dict[str, list[str]] = {}
        found: dict[str, set[str]] = {}
        selects = 0
        connection = self._connect(tables)

        def allow(action: int, first: str | None, second: str | None, *_: object) -> int:
            nonlocal selects
            if action == sqlite3.SQLITE_READ and first is not None and first in tables:
                if second and second != "row":
                    found.setdefault(first, set()).add(second)
                there = not second or second == "row" or second in tables[first]
                return sqlite3.SQLITE_OK if there else sqlite3.SQLITE_DENY  # such as its rowid
            if action == sqlite3.SQLITE_FUNCTION and second in FUNCTIONS:
                return sqlite3.SQLITE_OK
            selects += action == sqlite3.SQLITE_SELECT
            own = action == sqlite3.SQLITE_SELECT and selects == 1  # not one inside of it
            return sqlite3.SQLITE_OK if own else sqlite3.SQLITE_DENY

        connection.set_authorizer(allow)
        with closing(connection):
            try:
                asked = f"SELECT 1 FROM {_joined(tables)} WHERE (\n{text}\n)"
                connection.execute(asked).fetchall()
            except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
                raise UsageError(self._refusal(str(error))) from error
            selects = 0
            try:  # "a) LIMIT (1" is no value, and would say something else of each block
                connection.execute(f"SELECT (\n{text}\n) FROM {_joined(tables)}").fetchall()
            except sqlite3.Error as error:
                raise UsageError(self._refusal("its parentheses do not match")) from error
        self.reads = {table: sorted(columns) for table, columns in found.items()}
        if not self.reads:  # SQLite takes "a misspelt name" for a text
            raise UsageError(self._refusal("it reads no column"))

    def holds(self, rows: NDArray[np.int64], values: Mapping[str, pa.Table]) -> NDArray[np.bool_]:
        """(n,) whether each of some frames meets it, with any of its rows.

        Args:
            rows: (n,) ascending.
            values: of each table that it reads ``row`` and the columns that it reads, of these
                frames; of FRAME for all of them.

        Raises:
            UsageError: it cannot be computed of these values.
        """
        read: dict[str, list[str]] = {FRAME: [], **self.reads}
        tables = {
            table: {column: self._kinds[table][column] for column in columns}
            for table, columns in read.items()
        }
        connection = self._connect(tables)
        try:
            for table, columns in tables.items():
                names = ["row", *columns]
                held = values.get(table, {"row": rows})
                lines = zip(*(_listed(held[name]) for name in names), strict=True)
                places = ", ".join("?" * len(names))
                connection.executemany(f'INSERT INTO "{table}" VALUES ({places})', lines)
            asked = (
                f'SELECT DISTINCT "{FRAME}"."row" FROM {_joined(tables)} WHERE (\n{self._text}\n)'
            )
            found = [row for (row,) in connection.execute(asked)]
        except sqlite3.Error as error:
            raise UsageError(self._refusal(str(error))) from error
        finally:
            connection.close()
        return np.isin(rows, np.array(found, np.int64))

    def _connect(self, tables: Mapping[str, Mapping[str, Kind]]) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        for table, kinds in tables.items():
            columns = "".join(f', "{name}" {_TYPES[kind]}' for name, kind in kinds.items())
            key = "INTEGER PRIMARY KEY" if table == FRAME else "INTEGER"
            connection.execute(f'CREATE TABLE "{table}" ("row" {key}{columns})')
        return connection

    def _refusal(self, why: str) -> str:
        every = {name for kinds in self._kinds.values() for name in kinds}
        hint = ""
        if "no such column" in why:
            hint = f". There are: {', '.join(sorted(every))}; {LACKING}"
        if "ambiguous" in why:
            hint = ", which several tables have: write TABLE.COLUMN"
        if why.startswith("not authorized") or "prohibited" in why:
            why = f"it may read columns and call {', '.join(FUNCTIONS)}, and nothing else"
        if "one statement at a time" in why:
            why = "it is more than one expression"
        return f"where {self._text}: {why}{hint}."


def _joined(tables: Mapping[str, object]) -> str:
    others = (f'LEFT JOIN "{name}" USING ("row")' for name in tables if name != FRAME)
    return " ".join([f'"{FRAME}"', *others])


def _listed(values: pa.ChunkedArray | NDArray[np.int64]) -> Sequence[object]:
    found: list[object] = values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()
    return found
