"""How far a stage is: a bar on the terminal, and an artifact where a Prefect server shows runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coreframe.tasks import status

Advance = Callable[[int], None]

ARTIFACT_EVERY_S = 5.0
"""Each update is a request to the server."""


@contextmanager
def stage_bar(stage: str, total: int, unit: str) -> Iterator[Advance]:
    """Show how far one stage is; call what it yields with the number of units just done.

    The bar is silent where the error stream is no terminal. There is an artifact only of stages
    that take longer than some seconds, and none outside of a Prefect run.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn(f"{stage:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    artifact = _Artifact(stage, total, unit)
    with (
        status.hidden(),
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task(stage, total=total)

        def advance(units: int) -> None:
            progress.update(bar, advance=units)
            artifact.advance(units)

        yield advance
    artifact.finish()


class _Artifact:
    """A progress artifact that is written now and then."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        self._stage, self._total, self._unit = stage, total, unit
        self._done = 0
        self._id: Any = None
        self._written_s = time.monotonic()
        self._reported = bool(TaskRunContext.get() or FlowRunContext.get())

    def advance(self, units: int) -> None:
        self._done += units
        if self._reported and time.monotonic() - self._written_s > ARTIFACT_EVERY_S:
            self._write()

    def finish(self) -> None:
        if self._id is not None:
            self._write()

    def _write(self) -> None:
        percent = min(100.0, 100 * self._done / self._total) if self._total else 100.0
        said = f"{self._stage}: {self._done:,} of {self._total:,} {self._unit}"
        with suppress(httpx.HTTPError):  # work goes on while the server cannot be reached
            if self._id is None:
                # Without a key it is shown with its run, and not among what other runs replace.
                self._id = create_progress_artifact(percent, description=said)
            else:
                update_progress_artifact(self._id, percent, description=said)
        self._written_s = time.monotonic()
