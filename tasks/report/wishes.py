"""What was wished by columns, what came of it, and what it cost: tables and sentences."""

from typing import Any

from coreframe.tasks.columns.add import said
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run

LISTED_CLASSES = 60
"""Classes in the table at most."""


def wishes_section(run: Run, metrics: Metrics) -> dict[str, Any]:
    """Tables and sentences; all are empty where nothing was wished."""
    more = len(run.classes) - LISTED_CLASSES
    return {
        "costs": costs_table(metrics),
        "costs_text": costs_text(metrics),
        "classes": classes_table(run),
        "more_classes": f"And {more:,} more classes: see run.json." if more > 0 else "",
        "lacking": lacking(run),
        "added_columns": [f"{one.name}: {said(one)}." for one in run.added_columns],
    }


def costs_table(metrics: Metrics) -> list[dict[str, str]]:
    """The largest gap without each wish, beside that of what was chosen."""
    return [
        {
            "wish": one.wish,
            "gap max": f"{one.radius:.3f}",
            "without it": "–" if one.radius_without is None else f"{one.radius_without:.3f}",
        }
        for one in metrics.wishes
    ]


def costs_text(metrics: Metrics) -> str:
    """What the table compares."""
    if not metrics.wishes:
        return ""
    return (
        f"The largest gap of what was chosen, and of as many {metrics.noun}s chosen without one "
        "wish. Both are over all of the corpus that shows something, whatever could be chosen."
    )


def classes_table(run: Run) -> list[dict[str, str]]:
    """What was balanced: how many of each class there are, were asked for, and are chosen."""
    return [
        {
            "class": one.name,
            "to choose from": f"{one.eligible:,}",
            "asked": f"{one.asked:,}",
            "chosen": f"{one.chosen:,}",
        }
        for one in run.classes[:LISTED_CLASSES]
    ]


def lacking(run: Run) -> list[str]:
    """What is to be said of classes of which there are fewer than they were given."""
    return [
        f"{one.name}: {one.asked:,} were asked for and there are {one.eligible:,}; what it lacks "
        "went to the other classes."
        for one in run.classes
        if one.asked > one.eligible
    ]
