"""``report.md``: the run in one page of Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.reporting.tables import comparison, storage_table
from tasks.store.catalogue import Video

LISTED = 200
"""Files listed by name at most; a page stays a page on a corpus of any size."""

NAMED = 5
"""Videos named in one cell."""

STOPPED = {
    "n": "as many as asked",
    "min_distance": "every further frame is nearer than the minimum distance to one of these",
    "radius": "every frame that could be chosen is within the radius asked for",
    "max_per_video": "the videos have their largest number, or nothing else to choose",
    "thinned": "of the fixed rate, those at least the minimum distance apart",
    "exhausted": "all that there are to choose from",
}


def report_markdown(
    run: Mapping[str, Any], metrics: Mapping[str, Any], videos: Sequence[Video]
) -> str:
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
        lstrip_blocks=True,
    )
    troubles = [video for video in videos if video.state != "ok" or video.note]
    counts, storage = run["counts"], metrics["storage"]
    factor = storage["reduction_factor"] or 0.0
    return environment.get_template("report.md.j2").render(
        verdict=verdict(metrics),
        comparison=comparison(metrics),
        noun="sequence" if metrics["sequence_length"] > 1 else "frame",
        sampled=[measured for measured in metrics["methods"].values() if not measured["exact"]],
        storage=storage,
        storage_rows=storage_table(storage, run["parameters"]["picture"]["format"]),
        factor=f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}",
        states=[{"state": state, "files": f"{n:,}"} for state, n in counts["files"].items()],
        troubles=[
            {"file": video.path, "state": video.state, "why": video.reason or video.note}
            for video in troubles[:LISTED]
        ],
        more_troubles=max(0, len(troubles) - LISTED),
        counts=counts,
        changes=[
            {
                "videos": kind,
                "number": f"{found['count']:,}",
                "first of them": ", ".join(found["first"][:NAMED]),
            }
            for kind, found in run["changes"].items()
        ],
        original=metrics["methods"]["original"],
        stopped=STOPPED[counts["stopped_by"]],
        failures=run["failures"][:LISTED],
        parameters=[
            {"parameter": name, "value": value} for name, value in _flat(run["parameters"]).items()
        ],
        timings=[{"stage": name, "seconds": f"{s:.2f}"} for name, s in run["timings_s"].items()],
        versions=[f"{name} {version}" for name, version in run["versions"].items()],
        count=lambda number: f"{number:,}",
        table=_table,
        cell=_cell,
    )


def verdict(metrics: Mapping[str, Any]) -> str:
    """The comparison in one sentence, whoever won."""
    methods, length = metrics["methods"], metrics["sequence_length"]
    noun = "frames" if length == 1 else f"sequences of {length} frames"
    selected = metrics["selected"].replace("-", "_")
    mine = methods[selected]
    others = " and ".join(
        f"{name.replace('_', ' ')} at the same count within {methods[name]['coverage_radius']:.3f}"
        for name in ("fixed_rate", "random", "coreset")
        if name != selected
    )
    return (
        f"{mine['n']:,} of {methods['original']['n']:,} {noun} ({metrics['selected']}) cover the "
        f"corpus within {mine['coverage_radius']:.3f}; {others}."
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


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat
