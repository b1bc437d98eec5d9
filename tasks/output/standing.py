"""Whether an output folder already holds what a run is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.documents import NewerFormatError
from coreframe.tasks.output.files import PAGE
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.result import Result
from coreframe.tasks.store.columns import state
from coreframe.tasks.store.named_selections import NamedSelection
from coreframe.tasks.store.store import Store


def standing_result(store: Store, out: Path, parameters: Mapping[str, Any]) -> Result | None:
    """What an earlier run wrote of a named selection, if nothing has changed since.

    Neither the corpus, nor what columns say of it, nor what was asked for, nor the selection that
    the store keeps (a store that was restored keeps an older one), nor the images on disk. A
    damaged folder is written anew.

    Returns:
        None where there is something to do.

    Raises:
        UsageError: the folder, or what the store keeps, is of a newer version.
        CoreframeError: what the store keeps of the selection is damaged.
    """
    name = parameters["selecting"]["name"]
    if name is None:
        return None
    try:
        folder = OutputFolder.read(out)
    except NewerFormatError:
        raise
    except UsageError:
        return None
    run, then = folder.run, folder.run.parameters
    same = run.corpus == store.read_catalogue().state() and (
        then.store == parameters["store"]
        and _same(then.selecting, parameters["selecting"])
        and _same(then.picture, parameters["picture"])
    )
    there = all((out / file).is_file() for file in [*folder.selection["file"].dropna(), PAGE])
    same = same and run.columns == columns_named(store, parameters["selecting"])
    if not same or run.failures or not there:
        return None
    if not np.array_equal(NamedSelection(store.path, name).rows(), folder.units["row"]):
        return None
    return Result(run, folder.metrics, nothing_new=True)


def columns_named(store: Store, selecting: Mapping[str, Any]) -> str:
    """A hash of what columns say, where what is asked for may name any; empty elsewhere."""
    naming = ("where", "min", "max", "prefer", "balance")
    return state(store) if any(selecting.get(name) for name in naming) else ""


def _same(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the same was asked for; what an earlier version did not know was off."""
    return then.keys() <= now.keys() and all(
        then[name] == value if name in then else not value for name, value in now.items()
    )
