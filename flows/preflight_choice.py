"""What is refused of a choice, and of a search, before any work begins."""

import os
from collections.abc import Sequence
from pathlib import Path

from coreframe.flows.choosing import Selecting
from coreframe.tasks.columns.add import name_of
from coreframe.tasks.columns.source import open_source
from coreframe.tasks.embedders.names import DESCRIPTOR
from coreframe.tasks.errors import UsageError
from coreframe.tasks.query.asked import parse_queries
from coreframe.tasks.query.vectors import refuse_unanswerable
from coreframe.tasks.select.columns import KnownColumns
from coreframe.tasks.select.preselected import read_preselected
from coreframe.tasks.select.wishes import Wishes
from coreframe.tasks.store.columns import ColumnTable, checked_name, column_tables
from coreframe.tasks.store.named_selections import NamedSelection
from coreframe.tasks.store.store import Store

SHEETS = (".jpg", ".jpeg", ".png")
"""Endings of contact sheets."""


def check_selecting(store: str, selecting: Selecting) -> None:
    """Refuse what is asked for and cannot be found or used.

    Raises:
        UsageError: a file that is named cannot be read, a column is not there, the name cannot be
            used, or what frames should be like is not there.
    """
    added = _check_columns(selecting.columns)
    choice = selecting.choice()
    for balance in choice.balance:
        balance.file_shares()
    there = column_tables(Store.open(store)) if Store.exists(store) else {}
    Wishes.of(choice, KnownColumns(there | added))
    if (selecting.like or selecting.unlike) and Store.exists(store):
        check_queries(selecting, Store.open(store).settings.embedder)
    if selecting.preselected is not None:
        read_preselected(selecting.preselected)
    if selecting.name is not None:
        NamedSelection(store, selecting.name)


def _check_columns(files: Sequence[str]) -> dict[str, ColumnTable]:
    """Tables, without lines, such as files of columns will make.

    Raises:
        UsageError: a file cannot be read, its name cannot name a table, or two would take each
            other's place.
    """
    names: dict[str, str] = {}
    tables: dict[str, ColumnTable] = {}
    for file in files:
        source, name = open_source(file), name_of(file)
        by_hand = f"add it with `coreframe columns add NAME {file} --store STORE`, or rename it"
        try:
            checked_name(name)
        except UsageError as error:
            raise UsageError(f"columns {file}: {str(error).rstrip('.')}: {by_hand}.") from error
        if name.lower() in names:
            raise UsageError(
                f"columns {names[name.lower()]} and {file} would both be named {name}, and one "
                f"would take the other's place: {by_hand}."
            )
        names[name.lower()] = file
        tables[name] = ColumnTable(name, source.kinds, {})
    return tables


def check_queries(selecting: Selecting, embedder: str | None) -> None:
    """Refuse what frames should be like and no store of an embedder can be asked for.

    Raises:
        UsageError: naming the query.
    """
    refuse_unanswerable(embedder or DESCRIPTOR, parse_queries([*selecting.like, *selecting.unlike]))


def check_sheet(path: str) -> None:
    """Refuse a place or a format in which no contact sheet can be written.

    Raises:
        UsageError: naming it.
    """
    place = Path(path)
    if place.suffix.lower() not in SHEETS:
        raise UsageError(f"--out {path}: name a picture, .jpg or .png.")
    folder = place.absolute().parent
    if place.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        why = "it is a folder" if place.is_dir() else "its folder is not there, or only to be read"
        raise UsageError(f"cannot write the picture {path}: {why}. Name another with --out.")
