"""Compare the small files of a store with what was written, and mend them."""

import json

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.neighbours.kept import KeptNeighbours
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store import columns
from coreframe.tasks.store.array import (
    ARRAY_DOCUMENT,
    array_document,
    group_document,
    read_array_document,
    read_settings,
    read_settings_copy,
    write_settings_copy,
)
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.forgotten import forgotten_fault, read_forgotten, write_forgotten
from coreframe.tasks.store.named_selections import NamedSelection, names_of
from coreframe.tasks.store.reading import understandably
from coreframe.tasks.store.seals import parse_json
from coreframe.tasks.store.settings import MADE, RUNS, SETTINGS_COPY, StoreSettings
from coreframe.tasks.store.store import Store

DAMAGED = ".damaged"
"""Ending of a record that nothing can be mended from: nothing else reads it."""


def open_to_check(path: str) -> Store:
    """Open a store; where what made it cannot be read, by what is written of that elsewhere.

    Raises:
        UsageError: there is none, or it is of a newer format.
        CoreframeError: neither of the two can be read.
    """
    try:
        return Store.open(path)
    except (CoreframeError, UsageError) as refused:
        try:
            return Store(path, StoreSettings(**read_settings_copy(open_folder(path))))
        except (OSError, ValueError, TypeError):
            if isinstance(refused, UsageError):
                raise refused from None
            raise CoreframeError(
                f"neither {path}/{MADE} nor {path}/{SETTINGS_COPY}, which say what made the store, "
                "can be read: bring one of them back from a backup, or ingest into a new store."
            ) from None


def check_made(store: Store, catalogue: Catalogue, *, repair: bool) -> list[str]:
    """What is wrong with what is written of the settings and of the array, a clause each."""
    found = []
    folder, settings = store.folder, store.settings
    try:
        with understandably(store.path, MADE):
            read_settings(folder)
    except (CoreframeError, UsageError) as error:
        found.append(clause(error))
        if repair:
            folder.write(MADE, group_document(settings))
    if folder.exists(SETTINGS_COPY):
        try:
            with understandably(store.path, SETTINGS_COPY):
                same = StoreSettings(**read_settings_copy(folder)) == settings
                if not same:
                    raise ValueError(f"it is not that of {MADE}")
        except CoreframeError as error:
            found.append(clause(error))
            if repair:
                write_settings_copy(folder, settings)
    elif repair:
        write_settings_copy(folder, settings)
    wrong = ""
    try:
        rows = read_array_document(folder, settings)["shape"][0]
        if rows != catalogue.rows:
            wrong = (
                f"{store.path}/{ARRAY_DOCUMENT} has {rows:,} rows, and the catalogue plans "
                f"{catalogue.rows:,}"
            )
    except CoreframeError as error:
        wrong = clause(error)
    if wrong:
        found.append(wrong)
        if repair:
            folder.write(ARRAY_DOCUMENT, array_document(settings, catalogue.rows))
    return found


def check_kept_files(
    store: Store, catalogue: Catalogue, *, repair: bool
) -> tuple[list[str], list[str]]:
    """What is wrong with selections, columns, neighbours, forgotten contents, and records: clauses.

    Returns:
        All faults, and those of them that are left.
    """
    found, lost = [], []
    for name in names_of(store.folder):
        selection = NamedSelection(store.path, name)
        wrong = selection.fault()
        if wrong:
            found.append(clause(wrong))
            if repair and not selection.mend():
                lost.append(selection.fault())
    for name, wrong in list(columns.faults(store)):
        found.append(wrong)
        if repair:  # whoever has the file adds them again
            columns.drop(store, name)
    kept = KeptNeighbours(store)
    wrong = kept.fault()
    if wrong:
        found.append(clause(wrong))
        if repair:
            kept.drop()  # the next selection that needs them finds them again
    wrong = forgotten_fault(store, catalogue)
    if wrong:
        found.append(wrong)
        if repair:
            try:
                known = read_forgotten(store, catalogue)
                write_forgotten(store, known.fingerprints, unfinished=known.unfinished)
            except CoreframeError as error:
                lost.append(str(error))
    for name in store.folder.names(RUNS):
        place = f"{RUNS}/{name}"
        if not name.endswith(".json"):
            continue
        data = store.folder.read(place)
        try:
            parse_json(place, data)
        except ValueError as error:
            why = "it is no JSON" if isinstance(error, json.JSONDecodeError) else error
            found.append(f"{store.path}/{place} cannot be read ({why})")
            if repair:
                store.folder.write(place + DAMAGED, data)
                store.folder.delete(place)
    return found, lost


def clause(error: Exception | str) -> str:
    """What is wrong, without what to do about it: that comes once, at the end."""
    return str(error).partition(": mend the store with")[0].partition(". Mend it with")[0]
