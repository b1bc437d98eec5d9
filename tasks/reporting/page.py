"""``report.html``: one file with everything that a person needs to trust a selection, or not."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tasks.reporting import charts
from tasks.reporting.curve import curve_of
from tasks.reporting.evidence import Evidence
from tasks.reporting.facts import (
    LISTED,
    STOPPED,
    changes_table,
    flat,
    reduction,
    verdict,
)
from tasks.reporting.tables import NAMES, best, comparison, size, storage_table
from tasks.reporting.written import Written
from tasks.store.catalogue import Video

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

TICKS = 10_000
"""Frames of each method that are marked on timelines."""

OWN_PLOTS = r"pairs|pairs_log|radius|beside|timeline|map_\w+"
"""Names that the pictures of plots have, as a regular expression."""

TIMELINE_SAVED = 40
"""Videos on the saved picture of the timeline."""

SHEET = 24
"""Frames shown of each other selection."""

GONE = "its video is gone or has changed"


@dataclass(frozen=True)
class Page:
    """What is written: the page, and its plots as PNG, by the name of their file."""

    html: str
    pictures: dict[str, bytes]


@dataclass(frozen=True)
class Other:
    """Another selection to show beside the page's own, with small pictures by file."""

    name: str
    written: Written
    images: Mapping[str, bytes]


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
    picks = _picks(written, evidence)
    spans, ticks = timeline(written, evidence, videos)
    drawn = _charts(written, evidence, spans, ticks, others)
    planes = {plane: f"map {plane}" for plane in evidence.planes if f"map {plane}" in drawn}
    shown = picks[: evidence.room]
    factor = reduction(storage)
    estimated = ""
    if not storage["all_frames_exact"]:
        estimated = (
            f" (estimated from {storage['all_frames_estimated_from']} frames at an even stride)"
        )
    plots = charts.draw_charts(_plots(drawn, spans, ticks))
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
        loader=PackageLoader("tasks.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.j2").render(
        title=f"{counts['selected_frames']:,} chosen frames",
        verdict=verdict(metrics),
        subtitle=_subtitle(written),
        notes=notes,
        sections=sections,
        facts=_facts(metrics, factor, selected, noun),
        columns=list(comparison(metrics)[0]),
        comparison=_comparison(metrics),
        noun=noun,
        units=f"{metrics['methods']['original']['n']:,}",
        eligible=f"{counts['eligible_frames']:,}",
        sampled=_sampled(metrics),
        storage=storage_table(storage, run["parameters"]["picture"]["format"]),
        factor=factor,
        estimated=estimated,
        picks=shown,
        unpictured=""
        if len(shown) == len(picks)
        else f"The first {len(shown):,} of {len(picks):,} are shown, as many as this page has room "
        "for; all are in frames/.",
        order=_order(written),
        nothing=STOPPED.get(counts["stopped_by"], ""),
        videos=sorted({pick["video"] for pick in shown}),
        charts={"pairs": None, "radius": None, "timeline": None, "beside": None} | drawn,
        planes=list(planes),
        radius_text=_radius_text(metrics, noun),
        no_radius="The radius after each pick is known of a coreset of some frames only."
        if metrics["selected"] != "coreset"
        else "There are too few picks for a curve.",
        map_text=_map_text(evidence, noun),
        selected=selected,
        timeline_text=_timeline_text(written),
        **_dropped(written, evidence, picks, noun),
        beside=_beside(written, others),
        states=[{"state": state, "files": f"{n:,}"} for state, n in counts["files"].items()]
        or [{"state": "none", "files": "0"}],
        troubles=run["troubles"],
        more_troubles=run["more_troubles"],
        input_facts=_input_facts(counts),
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
    return (files("tasks.reporting") / "templates" / name).read_text(encoding="utf-8")


def data_url(picture: bytes | None) -> str:
    """A WebP picture as text inside the page; empty for None."""
    return "" if picture is None else f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


# --- numbers -----------------------------------------------------------------------------------


def _subtitle(written: Written) -> str:
    store, parameters = written.run["store"], written.run["parameters"]
    rejected = written.run["counts"]["exact_duplicates"]
    return (
        f"Store: {parameters['store']}. Embedder: {store['embedder']}. Sampling: "
        f"{store['sampling']}. Exact duplicates left out before any method chose: {rejected:,}."
    )


def _facts(
    metrics: Mapping[str, Any], factor: str, selected: str, noun: str
) -> list[dict[str, str]]:
    methods, storage = metrics["methods"], metrics["storage"]
    mine = methods[metrics["selected"].replace("-", "_")]
    other = "fixed_rate" if selected != "fixed rate" else "random"
    facts = []
    if mine["coverage_radius"] is not None:
        theirs = methods[other]["coverage_radius"]
        facts.append(
            {
                "value": f"{mine['coverage_radius']:.3f}",
                "what": f"largest gap; {NAMES[other]} leaves {theirs:.3f}",
            }
        )
    if mine["l2_min"] is not None:
        theirs = methods[other]["l2_min"]
        facts.append(
            {
                "value": f"{mine['l2_min']:.3f}",
                "what": f"apart are the two nearest {noun}s; {NAMES[other]}: "
                + ("–" if theirs is None else f"{theirs:.3f}"),
            }
        )
    facts.append(
        {
            "value": size(storage["kept_frames_bytes"]),
            "what": f"kept in {storage['kept_frames']:,} frames, of videos of "
            f"{size(storage['source_videos_bytes'])}",
        }
    )
    if factor:
        facts.append({"value": f"{factor}×", "what": "less than all sampled frames as PNG"})
    return facts


def _comparison(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    winners, selected = best(metrics), metrics["selected"].replace("-", "_")
    return [
        {
            "selected": key == selected,
            "cells": [
                {"text": text, "best": (key, title) in winners} for title, text in row.items()
            ],
        }
        for key, row in zip(NAMES, comparison(metrics), strict=True)
    ]


def _sampled(metrics: Mapping[str, Any]) -> dict[str, str] | None:
    for measured in metrics["methods"].values():
        if not measured["exact"]:
            return {
                "pairs": f"{measured['sampled_pairs']:,}",
                "units": f"{measured['sampled_frames']:,}",
            }
    return None


def _input_facts(counts: Mapping[str, Any]) -> list[str]:
    facts = [
        (counts["decodable_frames"], "decodable frames"),
        (counts["undecodable_frames"], "frames that cannot be decoded"),
        (counts["exact_duplicates"], "exact duplicates left out"),
        (counts["rejected_frames"], "left out by the quality limits"),
        (counts["frames_in_no_sequence"], "in no whole sequence"),
        (counts["kept_frames"], "of the chosen were selected before this run"),
        (counts["absent_frames"], "of the chosen are of videos that are gone or have changed"),
        (counts["gone_frames"], "selected before, but dropped with their videos"),
    ]
    stopped = STOPPED[counts["stopped_by"]]
    first = f"{counts['selected_frames']:,} frames selected: {stopped}"
    return [first, *(f"{number:,} {what}" for number, what in facts if number)]


def _order(written: Written) -> str:
    """What can be said of the order of picks."""
    selecting = written.run["parameters"].get("selecting", {})
    plain = not any(
        selecting.get(wish) for wish in ("prefer_sharp", "min_per_video", "max_per_video")
    )
    if (
        written.metrics["selected"] != "coreset"
        or not plain
        or written.selection["preselected"].any()
    ):
        return ""
    return (
        ": each was the farthest from all before it, so the first few are the most different of "
        "the corpus"
    )


def _radius_text(metrics: Mapping[str, Any], noun: str) -> str:
    text = (
        "The largest gap that is left after each pick, and the bound below which no choice of as "
        f"many {noun}s gets (Gonzalez 1985). The marks are the methods at the same count."
    )
    knee = metrics["knee"]
    if knee is None:
        return text
    return text + (
        f" The curve bends at {knee['k']:,} {noun}s, at a radius of {knee['radius']:.3f}: up to "
        f"there each took {knee['before']:.4f} off the largest gap on average, from there "
        f"{knee['after']:.4f}."
    )


def _map_text(evidence: Evidence, noun: str) -> str:
    shown, chosen = len(evidence.mapped), int(evidence.mapped["chosen"].sum())
    text = (
        f"Every {noun} of the corpus"
        if shown == evidence.units
        else f"{shown:,} of {evidence.units:,} {noun}s, drawn at random, and the first chosen"
    )
    return (
        f"{text}, coloured by video; the {chosen:,} diamonds are chosen. Near on the map is only "
        "roughly near in the embedding: the two axes of the PCA show "
        f"{evidence.variance:.0%} of the variance. Hover over a point to see it."
    )


# --- pictures ----------------------------------------------------------------------------------


def _picks(written: Written, evidence: Evidence) -> list[dict[str, Any]]:
    """One entry a chosen unit, in pick order."""
    found = []
    for pick, row in enumerate(_rows(written.units)):
        distance = "" if not np.isfinite(row.distance) else f"{row.distance:.3f}"
        stands = int(evidence.stands_for[pick])
        file = row.file if isinstance(row.file, str) else ""
        apart = f", {distance} from all before it" if distance else ""
        found.append(
            {
                "place": pick,
                "video": row.video,
                "time": _time(row.time_s),
                "file": file,
                "picture": data_url(evidence.images.get(file)),
                "label": f"{pick + 1} · {_time(row.time_s)}"
                + (f" · {distance}" if distance else ""),
                "alt": f"Number {pick + 1}: {row.video} at {row.time_s:.2f} s",
                "text": f"Number {pick + 1}: {row.video}, frame {row.frame_index}, "
                f"{row.time_s:.3f} s{apart}. The nearest chosen of {stands:,} others.",
                "row": None,
                "missing": GONE if not file else "no picture",
            }
        )
    return found


def _rows(frames: pd.DataFrame) -> list[Any]:
    """Its rows, with columns as attributes."""
    return list(frames.itertuples(index=False))


def _time(seconds: float) -> str:
    """``7.25 s``, ``12:07`` or ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _dropped(
    written: Written, evidence: Evidence, picks: Sequence[Mapping[str, Any]], noun: str
) -> dict[str, Any]:
    by_kind = {kind: some for kind, some in evidence.dropped.groupby("kind", sort=False)}

    def chosen(pick: int) -> dict[str, Any]:
        label = f"number {pick + 1}, for {evidence.stands_for[pick]:,} others"
        return dict(picks[pick]) | {"label": label}

    def dropped(row: Any) -> dict[str, Any]:
        return {
            "picture": data_url(evidence.frames.get(row.row)),
            "alt": f"Dropped: {row.name} at {row.time_s:.2f} s",
            "row": row.row,
            "label": f"{row.distance:.3f} away",
            "time": _time(row.time_s),
            "video": row.name,
            "missing": "cannot be decoded any more",
        }

    def of(kind: str) -> list[Any]:
        return _rows(by_kind[kind]) if kind in by_kind else []

    return {
        "farthest": [
            {"dropped": dropped(row), "chosen": chosen(row.pick)} for row in of("farthest")
        ],
        "represented": [
            {"chosen": chosen(near.pick), "near": dropped(near), "far": dropped(far)}
            for near, far in zip(of("near"), of("far"), strict=True)
        ],
    }


# --- charts ------------------------------------------------------------------------------------


def _charts(
    written: Written,
    evidence: Evidence,
    spans: pd.DataFrame,
    ticks: pd.DataFrame,
    others: Sequence[Other],
) -> dict[str, charts.Chart]:
    """The charts of the page that have something to show."""
    metrics = written.metrics
    drawn: dict[str, charts.Chart] = {}
    if any(measured["l2_counts"] for measured in metrics["methods"].values()):
        drawn["pairs"] = charts.pairs_chart(metrics)
        drawn["pairs_log"] = charts.pairs_chart(metrics, log=True)
    curve = curve_of(written.selection, written.length)
    if len(curve) > 1:
        drawn["radius"] = charts.radius_chart(curve, metrics)
        curves = {
            other.name: curve_of(other.written.selection, other.written.length)
            for other in others
            if same_space(written, other.written)
        }
        curves = {name: other for name, other in curves.items() if len(other) > 1}
        if curves:
            drawn["beside"] = charts.radius_chart(curve, metrics, curves)
    if len(evidence.mapped):
        for plane in evidence.planes:
            drawn[f"map {plane}"] = charts.map_chart(evidence.mapped, plane)
    if len(spans):
        drawn["timeline"] = charts.timeline_chart(spans, ticks, ordered=False)
    return drawn


def timeline(
    written: Written, evidence: Evidence, videos: Sequence[Video]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of :func:`tasks.reporting.charts.timeline_chart`."""
    spans = evidence.spans.join(
        pd.DataFrame(
            [(v.video, v.path, v.duration_s) for v in videos if v.active],
            columns=["video", "name", "length_s"],
        ).set_index("video"),
        how="inner",
    )
    spans["length_s"] = np.fmax(spans["length_s"], spans["last_s"])
    chosen = _of_active(written.selection, videos)
    fixed = evidence.fixed_rate.join(spans["name"], on="video", how="inner")[["name", "time_s"]]
    spans["chosen"] = spans["name"].map(chosen["name"].value_counts()).fillna(0).astype(int)
    spans["fixed"] = spans["name"].map(fixed["name"].value_counts()).fillna(0).astype(int)
    ends = [
        spans[["name", end]].set_axis(["name", "time_s"], axis=1) for end in ("first_s", "last_s")
    ]
    edges = pd.concat([chosen, *ends]).sort_values(["name", "time_s"], ignore_index=True)
    edges["next_s"] = edges.groupby("name")["time_s"].shift(-1)
    edges = edges.dropna()
    edges["empty_s"] = edges["next_s"] - edges["time_s"]
    longest = edges.sort_values("empty_s", kind="stable").groupby("name").last()
    spans["empty_from_s"] = spans["name"].map(longest["time_s"])
    spans["empty_to_s"] = spans["name"].map(longest["next_s"])
    spans = spans.sort_values("name").round(3)
    method = written.metrics["selected"].replace("-", " ")
    ticks = [chosen.assign(method=method)]
    if method != "fixed rate":
        ticks.append(fixed.assign(method="fixed rate"))
    return spans, pd.concat(map(_thin, ticks), ignore_index=True).round(3)


def _of_active(selection: pd.DataFrame, videos: Sequence[Video]) -> pd.DataFrame:
    """``name`` and ``time_s`` of the chosen frames whose videos are still what they were."""
    active = sorted((v.first_row, v.first_row + v.rows, v.path) for v in videos if v.active)
    first, stop = np.array([one[:2] for one in active], np.int64).reshape(-1, 2).T
    rows = selection["row"].to_numpy()
    place = np.searchsorted(first, rows, side="right") - 1
    inside = (place >= 0) & (rows < stop[np.maximum(place, 0)]) if len(stop) else rows < 0
    names = [active[number][2] for number in place[inside]]
    return pd.DataFrame({"name": names, "time_s": selection["time_s"].to_numpy()[inside]})


def _thin(ticks: pd.DataFrame) -> pd.DataFrame:
    return ticks.iloc[:: max(1, -(-len(ticks) // TICKS))]


def _timeline_text(written: Written) -> str:
    text = "Hover over a bar for its numbers."
    if len(written.selection) <= TICKS:
        return text
    return f"{text} Of {len(written.selection):,} marks some are drawn, at an even stride."


def _plots(
    drawn: Mapping[str, charts.Chart], spans: pd.DataFrame, ticks: pd.DataFrame
) -> dict[str, charts.Chart]:
    """The page's charts by the name of the picture that each is saved to."""
    plots = {key.replace(" ", "_").lower(): chart for key, chart in drawn.items()}
    if "timeline" in plots:
        spans = spans.head(TIMELINE_SAVED)
        plots["timeline"] = charts.timeline_chart(spans, ticks[ticks["name"].isin(spans["name"])])
    return plots


# --- other selections --------------------------------------------------------------------------


def same_space(one: Written, other: Written) -> bool:
    """Whether distances of two selections can be compared: between the same kind of vectors."""
    kinds = {(written.run["store"]["fingerprint"], written.length) for written in (one, other)}
    return len(kinds) == 1


def _beside(written: Written, others: Sequence[Other]) -> dict[str, Any] | None:
    if not others:
        return None
    own = _keys(written)
    rows = []
    for name, one in [("this selection", written), *((o.name, o.written) for o in others)]:
        row = {
            "selection": name,
            "embedder": one.run["store"]["embedder"],
            "method": one.metrics["selected"],
            "corpus": f"{one.metrics['methods']['original']['n']:,}",
        }
        noun = "frames" if one.length == 1 else f"sequences of {one.length}"
        (_, number), *cells = _selected_cells(one).items()
        row |= {"chosen": f"{number} {noun}"} | dict(cells)
        row["kept"] = size(one.metrics["storage"]["kept_frames_bytes"])
        row["frames in common"] = f"{len(own & _keys(one)):,}"
        rows.append(row)
    foreign = [other.name for other in others if not same_space(written, other.written)]
    note = ""
    if foreign:
        note = (
            "Of another embedder or sequence length, so that distances cannot be compared: "
            f"{', '.join(foreign)}."
        )
    sheets = [
        {
            "name": other.name,
            "picks": [
                {
                    "picture": data_url(other.images.get(row.file)),
                    "alt": f"{row.video} at {row.time_s:.2f} s",
                    "video": row.video,
                    "label": f"{place + 1} · {_time(row.time_s)}",
                }
                for place, row in enumerate(_rows(other.written.units.head(SHEET)))
            ],
        }
        for other in others
    ]
    return {"rows": rows, "note": note, "sheets": sheets}


def _selected_cells(one: Written) -> dict[str, str]:
    """The selected method's row of the comparison, its name left out."""
    selected = one.metrics["selected"].replace("-", "_")
    row = dict(zip(NAMES, comparison(one.metrics), strict=True))[selected]
    return {title: text for title, text in row.items() if title != "method"}


def _keys(written: Written) -> set[tuple[str, int]]:
    frames = written.selection
    return set(zip(frames["video"], frames["frame_index"].tolist(), strict=True))
