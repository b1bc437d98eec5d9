"""What a store's columns say, and of how many frames."""

from dataclasses import dataclass

import numpy as np

from coreframe.tasks.store.columns import ColumnTable, Kind, column_tables, read_block
from coreframe.tasks.store.corpus import in_corpus
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class ColumnSummary:
    """A column of a table of columns."""

    table: str
    name: str
    kind: Kind
    frames: int
    """Of the corpus, that have a value."""


def column_summaries(store: Store) -> list[ColumnSummary]:
    """Count of each column that was added to a store the frames that have a value.

    Raises:
        CoreframeError: one is damaged.
    """
    tables = column_tables(store)
    return [one for name in sorted(tables) for one in _of_table(store, tables[name])]


def _of_table(store: Store, table: ColumnTable) -> list[ColumnSummary]:
    catalogue, frames = store.read_catalogue(), dict.fromkeys(table.kinds, 0)
    for block in sorted(table.blocks):  # a frame's lines are all of one block
        lines = read_block(store, table, block)
        row = lines["row"].to_numpy()
        own = in_corpus(catalogue, row)
        for name in table.kinds:
            has = own & lines[name].is_valid().to_numpy()
            frames[name] += len(np.unique(row[has]))
    return [
        ColumnSummary(table.name, name, kind, frames[name]) for name, kind in table.kinds.items()
    ]
