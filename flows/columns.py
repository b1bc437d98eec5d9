"""Columns of a store: plain functions, not Prefect flows, for they take moments."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from coreframe.flows.logs import LOGGER
from coreframe.tasks import status
from coreframe.tasks.columns.add import AddedColumns, add_columns, name_of, said
from coreframe.tasks.store import columns
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.store import Store

logger = logging.getLogger(LOGGER)


def add(store: str, name: str, file: str, wait_s: float = 0.0) -> AddedColumns:
    """Join a file's lines with the frames of a store, and keep them under a name.

    Raises:
        UsageError: the file or the name cannot be used, or no line is about a frame of the store.
        CoreframeError: another run writes to the store.
    """
    opened = Store.open(store)
    status.show(f"reading {file}")
    with writing(opened, "columns", wait_s):
        return add_columns(opened, name, file)


def drop(store: str, name: str, wait_s: float = 0.0) -> None:
    """Remove the columns of a name.

    Raises:
        UsageError: there are none.
        CoreframeError: another run writes to the store.
    """
    opened = Store.open(store)
    with writing(opened, "columns", wait_s):
        columns.drop(opened, name)


def add_given(store: Store, files: Sequence[str]) -> list[dict[str, Any]]:
    """Add files of a run's parameters, each under its own name. Called by the only writer.

    Returns:
        What became of each, see :class:`AddedColumns`.
    """
    added = []
    for file in files:
        status.show(f"reading {file}")
        one = add_columns(store, name_of(file), file)
        if one.unmatched:
            logger.warning("%s: %s", file, said(one))
        added.append(asdict(one))
    return added
