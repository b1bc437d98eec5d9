"""The sections of the page: what the template shows in each."""

from collections.abc import Mapping, Sequence
from typing import Any

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.report.charts import Chart
from coreframe.tasks.report.evidence import Evidence
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
from coreframe.tasks.report.gallery import (
    chosen_frames,
    dropped_frames,
    flat_frames,
    graded_frames,
    marked_frames,
    missed_frames,
    odd_frames,
    rival_frames,
)
from coreframe.tasks.report.sentences import (
    comparison_table,
    cost_text,
    different_text,
    input_facts,
    key_figures,
    map_text,
    picking_order,
    radius_text,
    sampling_text,
    subtitle,
    with_flat_text,
)
from coreframe.tasks.report.storage import storage_sentence, storage_table
from coreframe.tasks.report.tables import NAMES, comparison
from coreframe.tasks.report.timeline import timeline_text
from coreframe.tasks.select.choice import Method

SECTIONS = (
    ("missed", "Missed"),
    ("comparison", "Comparison"),
    ("wishes", "Wishes"),
    ("frames", "Chosen"),
    ("distances", "Distances"),
    ("radius", "More frames"),
    ("map", "Map"),
    ("timeline", "Timeline"),
    ("dropped", "Dropped"),
    ("flat", "Left out"),
    ("odd", "Skipped"),
    ("quality", "Quality"),
    ("beside", "Beside others"),
    ("input", "Input"),
    ("made", "Made"),
)
"""Their ids and what the navigation calls them, in order."""

MAY_BE_MISSING = ("pairs", "radius", "timeline", "beside")
"""Charts of which the template asks whether they are there."""

TENTH = 0.105
"""Limits that the page proposes leave out about so many of the frames at most."""

WITH_CURVE = (Method.CORESET, Method.FACILITY_LOCATION)
NO_CURVE = "The radius after each pick is known only of greedy methods."
SHORT_CURVE = "There are too few picks for a curve."


def top(
    run: Run, metrics: Metrics, notes: Sequence[str], there: Mapping[str, bool]
) -> dict[str, Any]:
    """What stands above all sections, and the navigation; ``there`` has what may not be there."""
    return {
        "title": f"{run.counts.selected_frames:,} chosen frames",
        "headline": headline(metrics),
        "verdict": verdict(metrics),
        "different": different_text(metrics),
        "subtitle": subtitle(run),
        "cost": cost_text(run, metrics),
        "notes": notes,
        "sections": [one for one in SECTIONS if there.get(one[0], True)],
        "facts": key_figures(run, metrics),
        "noun": metrics.noun,
        "between": metrics.compared,
        "selected": metrics.selected_name,
    }


def comparison_section(run: Run, metrics: Metrics) -> dict[str, Any]:
    """The methods compared, and the storage."""
    storage = metrics.storage
    return {
        "columns": list(comparison(metrics)[0]),
        "comparison": comparison_table(metrics),
        "units": f"{metrics.methods.original.n:,}",
        "between_count": f"{metrics.methods.original.objects or metrics.methods.original.n:,}",
        "eligible": f"{run.counts.eligible_frames:,}",
        "sampled": sampling_text(metrics),
        "with_flat": with_flat_text(metrics),
        "storage": storage_table(run, storage),
        "stored": storage_sentence(run, storage),
    }


def frames_sections(folder: OutputFolder, evidence: Evidence) -> dict[str, Any]:
    """The chosen frames, as many as fit, and those that were dropped."""
    picks = chosen_frames(folder, evidence)
    shown = picks[: evidence.pictured]
    unpictured = ""
    if len(shown) < len(picks):
        unpictured = (
            f"The first {len(shown):,} of {len(picks):,} are shown, as many as this page has room "
            "for; all are in frames/."
        )
    missed = missed_frames(folder, evidence, picks)
    return {
        "missed": missed["fixed_rate"],
        "missed_at_random": missed["random"],
        "sheets": [
            {"name": NAMES[key], "frames": rival_frames(evidence, key), "n": measured.n}
            for key, measured in folder.metrics.methods.by_key().items()
            if key in evidence.rivals and key != folder.metrics.selected_key
        ],
        "picks": shown,
        "unpictured": unpictured,
        "order": picking_order(folder),
        "nothing": STOPPED[folder.run.counts.stopped_by],
        "videos": sorted({pick["video"] for pick in shown}),
        **dropped_frames(evidence, picks),
        "soft": marked_frames(evidence, picks, "soft"),
        "plain": marked_frames(evidence, picks, "plain"),
        "flat": flat_frames(evidence),
        "flats": folder.run.counts.flat_frames,
        "odd": odd_frames(evidence),
        "outliers": folder.run.counts.outlier_frames,
        "skipped_units": folder.run.counts.outlier_frames // folder.length,
    }


def chart_sections(
    folder: OutputFolder, evidence: Evidence, drawn: Mapping[str, Chart], planes: Sequence[str]
) -> dict[str, Any]:
    """The charts, and what is said of each."""
    metrics = folder.metrics
    mapped = "object" if metrics.methods.original.objects else metrics.noun
    return {
        "charts": dict.fromkeys(MAY_BE_MISSING) | dict(drawn),
        "planes": planes,
        "radius_text": radius_text(metrics, folder.run.counts),
        "no_radius": SHORT_CURVE if metrics.selected in WITH_CURVE else NO_CURVE,
        "map_text": map_text(evidence, mapped),
        "timeline_text": timeline_text(folder),
    }


def quality_section(run: Run, evidence: Evidence) -> dict[str, Any]:
    """How sharp and how bright frames are, and how to leave out some."""
    found = []
    for measure, histogram in reversed(evidence.histograms.items()):  # sharpness first
        most = max(histogram.counts)
        own = evidence.graded[evidence.graded["measure"] == measure]
        limit = f"--min {measure}={own['value'][own['below'] <= TENTH].max():.3g}"
        found.append(
            {
                "measure": measure,
                "frames": graded_frames(evidence, measure),
                "bars": [f"{100 * count / most:.1f}" for count in histogram.counts],
                "low": f"{histogram.low:.3g}",
                "high": f"{histogram.high:.3g} and more",
                "command": "" if f"--min {measure}" in run.command else f"{run.command} {limit}",
            }
        )
    return {"graded": found}


def input_section(run: Run) -> dict[str, Any]:
    """The files, their troubles, and what was left out."""
    return {
        "states": states_table(run) or [{"state": "none", "files": "0"}],
        "troubles": troubles_table(run),
        "more_troubles": run.more_troubles,
        "input_facts": input_facts(run.counts),
        "failures": run.failures[:LISTED],
        "changes": changes_table(run.changes),
    }


def making_section(run: Run) -> dict[str, Any]:
    """How to make it again, and with what it was made."""
    return {
        "command": run.command,
        "timings": timings_table(run) or [{"stage": "none", "seconds": "0"}],
        "parameters": parameters_table(run),
        "versions": versions_text(run),
        "version": run.versions["coreframe"],
    }
