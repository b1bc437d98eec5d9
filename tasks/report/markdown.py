"""``report.md``: the run in one page of Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from coreframe.tasks.names import shown
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.report.facts import (
    LISTED,
    STOPPED,
    changes_table,
    headline,
    parameters_table,
    states_table,
    timings_table,
    troubles_table,
    verdict,
    versions_text,
)
from coreframe.tasks.report.sentences import cost_text, different_text, with_flat_text
from coreframe.tasks.report.storage import storage_sentence, storage_table
from coreframe.tasks.report.tables import comparison
from coreframe.tasks.report.wishes import wishes_section


def report_markdown(run: Run, metrics: Metrics) -> str:
    """Write the page.

    Args:
        run: what was asked for, and what was met.
        metrics: what was measured.
    """
    environment = Environment(
        loader=PackageLoader("coreframe.tasks.report"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = run.counts
    return environment.get_template("report.md.j2").render(
        headline=headline(metrics),
        verdict=verdict(metrics),
        different=different_text(metrics),
        cost=cost_text(run, metrics),
        comparison=comparison(metrics),
        noun=metrics.noun,
        between=metrics.compared,
        sampled=[one for one in metrics.methods.by_key().values() if not one.exact],
        storage_rows=storage_table(run, metrics.storage),
        stored=storage_sentence(run, metrics.storage),
        states=states_table(run),
        troubles=troubles_table(run),
        more_troubles=run.more_troubles,
        counts=counts,
        changes=changes_table(run.changes),
        with_flat=with_flat_text(metrics),
        **wishes_section(run, metrics),
        original=metrics.methods.original,
        stopped=STOPPED[counts.stopped_by],
        failures=run.failures[:LISTED],
        parameters=parameters_table(run),
        timings=timings_table(run),
        versions=versions_text(run),
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
    return "–" if value is None or value == "" else markdown_text(str(value))


def markdown_text(text: str) -> str:
    """Text for Markdown, also in a cell of a table: file names may hold anything, markup included.

    It is one line, and what would be markup in CommonMark or on GitHub is escaped.
    """
    text = html.escape(" ".join(shown(text).split()), quote=False)
    return re.sub(r"([\\|`*\[\]~$]|(?<!\w)_|_(?!\w))", r"\\\1", text)
