"""``report.md``: the run in one page of Markdown."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.reporting.tables import comparison, storage_table
from tasks.store.catalogue import Video

LISTED = 200
"""Files listed by name at most; a page stays a page on a corpus of any size."""

STOPPED = {
    "n": "as many as asked",
    "min_distance": "every further frame is nearer than the minimum distance to one of these",
    "exhausted": "all that there are",
}


def report_markdown(run: Mapping[str, Any], metrics: Mapping[str, Any], videos: Sequence[Video]) -> str:
    """Write the page.

    Args:
        run: the content of ``run.json``.
        metrics: the content of ``metrics.json``.
        videos: the catalogue's entries that the run is about.
    """
    environment = Environment(
        loader=PackageLoader("tasks.reporting"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    troubles = [video for video in videos if video.state != "ok" or video.note]
    original = metrics["methods"]["original"]
    return environment.get_template("report.md.j2").render(
        verdict=verdict(metrics),
        comparison=comparison(metrics["methods"], metrics["selected"]),
        sampled=None if original["exact"] else original,
        storage=metrics["storage"],
        storage_rows=storage_table(metrics["storage"], run["parameters"]["picture"]["format"]),
        states=run["counts"]["files"],
        troubles=troubles[:LISTED],
        more_troubles=max(0, len(troubles) - LISTED),
        counts=run["counts"],
        stopped=STOPPED[run["counts"]["stopped_by"]],
        parameters=_flat(run["parameters"]),
        timings=run["timings_s"],
        versions=[f"{name} {version}" for name, version in run["versions"].items()],
        table=_table,
        cell=_cell,
    )


def verdict(metrics: Mapping[str, Any]) -> str:
    """The comparison in one sentence, whoever won."""
    methods = metrics["methods"]
    selected = metrics["selected"].replace("-", "_")
    mine = methods[selected]
    others = " and ".join(
        f"{name.replace('_', ' ')} at the same count within {methods[name]['coverage_radius']:.3f}"
        for name in ("fixed_rate", "random", "coreset")
        if name != selected
    )
    return (
        f"{mine['n']:,} of {methods['original']['n']:,} frames ({metrics['selected']}) cover the "
        f"corpus within {mine['coverage_radius']:.3f}; {others}."
    )


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[name] for name in head] for row in rows)]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(value: object) -> str:
    """Text for a table cell: file names may hold anything, markup and line breaks included."""
    text = html.escape(str(value), quote=False).replace("\\", "\\\\").replace("|", "\\|")
    return " ".join(text.split())


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
