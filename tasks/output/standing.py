"""Whether an output folder already holds what a run is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.files import PAGE
from coreframe.tasks.output.result import Written
from coreframe.tasks.store.store import Store


def standing_result(
    store: Store, out: Path, parameters: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What an earlier run wrote of a named selection, if nothing has changed since.

    Neither the corpus, nor what was asked for, nor the images on disk.

    Returns:
        What ``run.json`` and ``metrics.json`` hold, under ``run`` and ``metrics``, or None where
        there is something to do.
    """
    if parameters["selecting"]["name"] is None:
        return None
    try:
        written = Written.read(out)
    except UsageError:
        return None
    run = written.run
    same = run.get("corpus") == store.read_catalogue().state() and all(
        run["parameters"].get(name) == parameters[name]
        for name in ("store", "selecting", "picture")
    )
    there = all((out / file).is_file() for file in [*written.selection["file"].dropna(), PAGE])
    if not same or run["failures"] or not there:
        return None
    return {"run": run | {"nothing_new": True}, "metrics": written.metrics}
