"""``report.html``: one file with everything that a person needs to trust a selection, or not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from coreframe.tasks.output.result import Written
from coreframe.tasks.report import charts
from coreframe.tasks.report.beside import Other, selections_beside
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.facts import LISTED, STOPPED, changes_table, flat, reduction, verdict
from coreframe.tasks.report.gallery import dropped_frames, picks_of
from coreframe.tasks.report.sentences import (
    comparison_table,
    facts_of_run,
    input_facts,
    map_text,
    picking_order,
    radius_text,
    sampling_text,
    subtitle,
)
from coreframe.tasks.report.tables import comparison, storage_table
from coreframe.tasks.report.timeline import page_charts, plot_facts, timeline, timeline_text
from coreframe.tasks.store.catalogue import Video

SECTIONS = (
    ("comparison", "Comparison"),
    ("frames", "Chosen frames"),
    ("distances", "Distances"),
    ("radius", "More frames"),
    ("map", "Map"),
    ("timeline", "Timeline"),
    ("dropped", "Dropped"),
    ("beside", "Beside others"),
    ("input", "Input"),
    ("made", "How it was made"),
)

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
    written: Written,
    evidence: Evidence,
    videos: Sequence[Video],
    others: Sequence[Other] = (),
    notes: Sequence[str] = (),
) -> Page:
    """Make the page of one selection.

    Args:
        written: what the run wrote.
        evidence: what was seen in the store.
        videos: the store's catalogue.
        others: other selections, to be shown beside it.
        notes: sentences that a reader has to know before anything else.
    """
    metrics, run = written.metrics, written.run
    noun = "frame" if written.length == 1 else "sequence"
    counts, storage = run["counts"], metrics["storage"]
    selected = metrics["selected"].replace("-", " ")
    picks = picks_of(written, evidence)
    spans, ticks = timeline(written, evidence, videos)
    drawn = page_charts(written, evidence, spans, ticks, others)
    planes = {plane: f"map {plane}" for plane in evidence.planes if f"map {plane}" in drawn}
    shown = picks[: evidence.room]
    factor = reduction(storage)
    estimated = ""
    if not storage["all_frames_exact"]:
        estimated = (
            f" (estimated from {storage['all_frames_estimated_from']} frames at an even stride)"
        )
    plots = charts.draw_charts(plot_facts(drawn, spans, ticks))
    sections = [one for one in SECTIONS if one[0] != "beside" or others]
    known = {
        "charts": {key: charts.page_spec(chart) for key, chart in drawn.items()},
        "planes": planes,
        "themes": {name: charts.theme(name) for name in charts.PALETTES},
        "timelinePage": TIMELINE_PAGE,
        "videoHeight": charts.VIDEO_PX,
        "axesHeight": charts.AXES_PX,
    }
    environment = Environment(
        loader=PackageLoader("coreframe.tasks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.j2").render(
        title=f"{counts['selected_frames']:,} chosen frames",
        verdict=verdict(metrics),
        subtitle=subtitle(written),
        notes=notes,
        sections=sections,
        facts=facts_of_run(metrics, factor, selected, noun),
        columns=list(comparison(metrics)[0]),
        comparison=comparison_table(metrics),
        noun=noun,
        units=f"{metrics['methods']['original']['n']:,}",
        eligible=f"{counts['eligible_frames']:,}",
        sampled=sampling_text(metrics),
        storage=storage_table(storage, run["parameters"]["picture"]["format"]),
        factor=factor,
        estimated=estimated,
        picks=shown,
        unpictured=""
        if len(shown) == len(picks)
        else f"The first {len(shown):,} of {len(picks):,} are shown, as many as this page has room "
        "for; all are in frames/.",
        order=picking_order(written),
        nothing=STOPPED.get(counts["stopped_by"], ""),
        videos=sorted({pick["video"] for pick in shown}),
        charts={"pairs": None, "radius": None, "timeline": None, "beside": None} | drawn,
        planes=list(planes),
        radius_text=radius_text(metrics, noun),
        no_radius="The radius after each pick is known of a coreset of some frames only."
        if metrics["selected"] != "coreset"
        else "There are too few picks for a curve.",
        map_text=map_text(evidence, noun),
        selected=selected,
        timeline_text=timeline_text(written),
        **dropped_frames(written, evidence, picks, noun),
        beside=selections_beside(written, others),
        states=[{"state": state, "files": f"{n:,}"} for state, n in counts["files"].items()]
        or [{"state": "none", "files": "0"}],
        troubles=run["troubles"],
        more_troubles=run["more_troubles"],
        input_facts=input_facts(counts),
        failures=run["failures"][:LISTED],
        changes=changes_table(run["changes"]),
        command=run["command"],
        timings=[{"stage": name, "seconds": f"{s:.2f}"} for name, s in run["timings_s"].items()]
        or [{"stage": "none", "seconds": "0"}],
        parameters=[
            {"parameter": name, "value": value} for name, value in flat(run["parameters"]).items()
        ],
        versions=", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        version=run["versions"]["coreframe"],
        count=lambda number: f"{number:,}",
        style=Markup(_template("report.css")),
        script=Markup(_template("report.js")),
        vega=Markup(plots.script),
        data=Markup(json.dumps(known, separators=(",", ":")).replace("<", "\\u003c")),
    )
    return Page(html, {f"{name}.png": picture for name, picture in plots.pictures.items()})


def _template(name: str) -> str:
    return (files("coreframe.tasks.report") / "templates" / name).read_text(encoding="utf-8")
