"""One progress bar a stage, on the terminal's error stream; silent when that is not a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]


@contextmanager
def stage_bar(stage: str, total: int, unit: str) -> Iterator[Advance]:
    """Show a bar for one stage; call what it yields with the number of units just done."""
    console = Console(stderr=True)
    columns = (
        TextColumn(f"{stage:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(stage, total=total)
        yield lambda units: progress.update(bar, advance=units)
