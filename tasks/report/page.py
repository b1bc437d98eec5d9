"""``report.html``: one file with everything that a person needs to trust a selection, or not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from coreframe.tasks.names import shown
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report import charts, sections
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.named import with_labels
from coreframe.tasks.report.other_selections import Other, selections_compared
from coreframe.tasks.report.timeline import page_charts, plots_to_save, timeline
from coreframe.tasks.report.wishes import wishes_section
from coreframe.tasks.store.catalogue import Video

TIMELINE_PAGE = 25
"""Videos shown at once."""

OWN_PLOTS = r"pairs|pairs_log|radius|beside|timeline|map_\w+"
"""Names that the pictures of plots have, as a regular expression."""


@dataclass(frozen=True)
class Page:
    """What is written: the page, and its plots as PNG, by the name of their file."""

    html: str
    pictures: dict[str, bytes]


def report_page(
    folder: OutputFolder,
    evidence: Evidence,
    videos: Sequence[Video],
    others: Sequence[Other] = (),
    notes: Sequence[str] = (),
) -> Page:
    """Make the page of one selection.

    Args:
        folder: what the run wrote.
        evidence: what was seen in the store.
        videos: the store's catalogue.
        others: other selections, to be compared with it.
        notes: sentences that a reader has to know before anything else.
    """
    folder, evidence, videos, others = with_labels(folder, evidence, videos, others)
    run, metrics = folder.run, folder.metrics
    spans, ticks = timeline(folder, evidence, videos)
    drawn = page_charts(folder, evidence, spans, ticks, others)
    planes = {plane: f"map {plane}" for plane in evidence.planes if f"map {plane}" in drawn}
    plots = charts.draw_charts(plots_to_save(drawn, spans, ticks))
    frames = sections.frames_sections(folder, evidence)
    wishes = wishes_section(run, metrics)
    there = {
        "beside": bool(others),
        "wishes": any(wishes.values()),
        "flat": bool(frames["flats"]),
        "odd": bool(frames["outliers"]),
        "missed": bool(frames["missed"]),
    }
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            **sections.top(run, metrics, notes, there),
            **sections.comparison_section(run, metrics),
            **wishes,
            **frames,
            **sections.chart_sections(folder, evidence, drawn, list(planes)),
            **sections.quality_section(run, evidence),
            compared=selections_compared(folder, others),
            **sections.input_section(run),
            **sections.making_section(run),
            count=lambda number: f"{number:,}",
            style=Markup(_template("report.css")),
            script=Markup(_template("report.js")),
            vega=Markup(plots.script),
            data=_script_data(drawn, planes),
        )
    )
    return Page(html, {f"{name}.png": picture for name, picture in plots.pictures.items()})


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("coreframe.tasks.report"),
        autoescape=True,
        finalize=lambda value: shown(value) if type(value) is str else value,  # markup is none
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _script_data(drawn: Mapping[str, charts.Chart], planes: Mapping[str, str]) -> Markup:
    """What the page's script needs, as JSON that cannot end the element it stands in."""
    known = {
        "charts": {key: charts.page_spec(chart) for key, chart in drawn.items()},
        "planes": planes,
        "themes": {name: charts.theme(name) for name in charts.PALETTES},
        "timelinePage": TIMELINE_PAGE,
        "videoHeight": charts.VIDEO_PX,
        "axesHeight": charts.AXES_PX,
    }
    return Markup(json.dumps(known, separators=(",", ":")).replace("<", "\\u003c"))


def _template(name: str) -> str:
    return (files("coreframe.tasks.report") / "templates" / name).read_text(encoding="utf-8")
