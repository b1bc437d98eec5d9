"""``report.md``: the run in one page of Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from coreframe.tasks.report.facts import LISTED, STOPPED, changes_table, flat, reduction, verdict
from coreframe.tasks.report.tables import comparison, storage_table


def report_markdown(run: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        run: the content of ``run.json``.
        metrics: the content of ``metrics.json``.
    """
    environment = Environment(
        loader=PackageLoader("coreframe.tasks.report"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts, storage = run["counts"], metrics["storage"]
    return environment.get_template("report.md.j2").render(
        verdict=verdict(metrics),
        comparison=comparison(metrics),
        noun="sequence" if metrics["sequence_length"] > 1 else "frame",
        sampled=[measured for measured in metrics["methods"].values() if not measured["exact"]],
        storage=storage,
        storage_rows=storage_table(storage, run["parameters"]["picture"]["format"]),
        factor=reduction(storage),
        states=[{"state": state, "files": f"{n:,}"} for state, n in counts["files"].items()],
        troubles=run["troubles"],
        more_troubles=run["more_troubles"],
        counts=counts,
        changes=changes_table(run["changes"]),
        original=metrics["methods"]["original"],
        stopped=STOPPED[counts["stopped_by"]],
        failures=run["failures"][:LISTED],
        parameters=[
            {"parameter": name, "value": value} for name, value in flat(run["parameters"]).items()
        ],
        timings=[{"stage": name, "seconds": f"{s:.2f}"} for name, s in run["timings_s"].items()],
        versions=[f"{name} {version}" for name, version in run["versions"].items()],
        count=lambda number: f"{number:,}",
        table=_table,
        cell=_cell,
    )


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    head = list(rows[0])
    lines: list[list[Any]] = [
        head,
        ["---"] * len(head),
        *([row[name] for name in head] for row in rows),
    ]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    """Text for a table cell: file names may hold anything, markup and line breaks included."""
    if value is None or value == "":
        return "–"
    text = html.escape(str(value), quote=False)
    return re.sub(r"([\\|`*\[\]])", r"\\\1", " ".join(text.split()))
