"""The charts of the page, above all the timeline of every video."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report import charts
from coreframe.tasks.report.curve import radius_curve
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.other_selections import Other, same_space
from coreframe.tasks.select.choice import Method
from coreframe.tasks.store.catalogue import Video

TICKS = 10_000
"""Frames of each method that are marked on timelines."""

TIMELINE_SAVED = 40
"""Videos on the saved picture of the timeline."""


def page_charts(
    folder: OutputFolder,
    evidence: Evidence,
    spans: pd.DataFrame,
    ticks: pd.DataFrame,
    others: Sequence[Other],
) -> dict[str, charts.Chart]:
    """The charts of the page that have something to show."""
    metrics = folder.metrics
    drawn: dict[str, charts.Chart] = {}
    if any(measured.l2_counts for measured in metrics.methods.by_key().values()):
        drawn["pairs"] = charts.pairs_chart(metrics)
        drawn["pairs_log"] = charts.pairs_chart(metrics, log=True)
    curve = radius_curve(folder.selection, folder.length)
    if len(curve) > 1:
        drawn["radius"] = charts.radius_chart(curve, metrics)
        curves = {
            other.name: radius_curve(other.folder.selection, other.folder.length)
            for other in others
            if same_space(folder, other.folder)
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
    folder: OutputFolder, evidence: Evidence, videos: Sequence[Video]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of :func:`coreframe.tasks.report.charts.timeline_chart`."""
    spans = evidence.spans.join(
        pd.DataFrame(
            [(v.video, v.path, v.duration_s) for v in videos if v.active],
            columns=["video", "name", "length_s"],
        ).set_index("video"),
        how="inner",
    )
    spans["length_s"] = np.fmax(spans["length_s"], spans["last_s"])
    chosen = _chosen_in_active(folder.selection, videos)
    fixed = evidence.rivals["fixed_rate"].join(spans["name"], on="video", how="inner")[
        ["name", "time_s"]
    ]
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
    method = folder.metrics.selected_name
    ticks = [chosen.assign(method=method)]
    if folder.metrics.selected != Method.FIXED_RATE:
        ticks.append(fixed.assign(method="fixed rate"))
    return spans, pd.concat(map(_thin, ticks), ignore_index=True).round(3)


def _chosen_in_active(selection: pd.DataFrame, videos: Sequence[Video]) -> pd.DataFrame:
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


def timeline_text(folder: OutputFolder) -> str:
    """What is said of the timeline."""
    text = "Hover over a bar for its numbers."
    if len(folder.selection) <= TICKS:
        return text
    return f"{text} Only some of the {len(folder.selection):,} marks are drawn, at an even stride."


def plots_to_save(
    drawn: Mapping[str, charts.Chart], spans: pd.DataFrame, ticks: pd.DataFrame
) -> dict[str, charts.Chart]:
    """The page's charts by the name of the picture that each is saved to."""
    plots = {key.replace(" ", "_").lower(): chart for key, chart in drawn.items()}
    if "timeline" in plots:
        spans = spans.head(TIMELINE_SAVED)
        plots["timeline"] = charts.timeline_chart(spans, ticks[ticks["name"].isin(spans["name"])])
    return plots
