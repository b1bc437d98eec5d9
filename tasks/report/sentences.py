"""The sentences of the page: the facts, what was compared, what a chart shows."""

from typing import Any

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Counts, Run
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.facts import STOPPED, WAYS
from coreframe.tasks.report.storage import all_frames_bytes, reduction, written_as
from coreframe.tasks.report.tables import NAMES, best, comparison, size
from coreframe.tasks.select.choice import Method

REORDERING = ("like", "unlike", "prefer_sharp", "min_per_video", "max_per_video")
"""Options with which a pick need not be the farthest from all before it."""


def subtitle(run: Run) -> str:
    """What the selection is from."""
    return (
        f"Store: {run.parameters.store}. Embedder: {run.store.embedder}. Sampling: "
        f"{run.store.sampling}. Exact duplicates left out before any method chose: "
        f"{run.counts.exact_duplicates:,}."
    )


def different_text(metrics: Metrics) -> str:
    """What the headline calls different; empty where it says nothing of it."""
    least = metrics.methods.different
    if not metrics.chosen.n or not metrics.chosen.distinct or least is None:
        return ""
    text = f"Different: at least {least:.3f} apart, as any two of a coreset of as many are."
    average = metrics.methods.original.l2_mean
    if average is None:
        return text
    return (
        f"{text} 0 is the same picture; two {metrics.noun}s of the corpus are on average "
        f"{average:.3f} apart."
    )


def key_figures(run: Run, metrics: Metrics) -> list[dict[str, str]]:
    """The figures at the top of the page, each with what it means."""
    storage, chosen = metrics.storage, metrics.chosen
    rival = "random" if metrics.selected == Method.FIXED_RATE else "fixed_rate"
    theirs = metrics.methods.by_key()[rival]
    facts = []
    by_mean = metrics.selected == Method.FACILITY_LOCATION
    if by_mean and chosen.coverage_mean is not None:
        facts.append(
            {
                "value": f"{chosen.coverage_mean:.3f}",
                "what": f"mean gap; {NAMES[rival]} leaves {theirs.coverage_mean:.3f}",
            }
        )
    elif chosen.coverage_radius is not None:
        facts.append(
            {
                "value": f"{chosen.coverage_radius:.3f}",
                "what": f"largest gap; {NAMES[rival]} leaves {theirs.coverage_radius:.3f}",
            }
        )
    if chosen.l2_min is not None:
        facts.append(
            {
                "value": f"{chosen.l2_min:.3f}",
                "what": f"between the two nearest {metrics.compared}s; {NAMES[rival]}: "
                + ("–" if theirs.l2_min is None else f"{theirs.l2_min:.3f}"),
            }
        )
    kept = size(storage.kept_frames_bytes)
    factor, every = reduction(run, storage), all_frames_bytes(run, storage)
    if factor and every:
        about = "" if storage.all_frames_exact else "about "
        what = f"less than all frames as {written_as(run)}: {kept}, of {about}{size(every)}"
        facts.append({"value": f"{factor}×", "what": what})
    else:
        facts.append({"value": kept, "what": f"kept in {storage.kept_frames:,} frames"})
    return facts


def cost_text(run: Run, metrics: Metrics) -> str:
    """What labelling costs, in a sentence; empty where nobody said what a frame costs."""
    each, length = run.parameters.selecting.get("cost_per_frame"), metrics.sequence_length
    if not each:
        return ""
    frames, every = metrics.chosen.n * length, run.counts.decodable_frames
    text = (
        f"At {each:g} a frame, to label the {frames:,} chosen costs {frames * each:,.2f}, and all "
        f"{every:,} would cost {every * each:,.2f}."
    )
    wasted = [
        f"{(measured.n - measured.distinct) * length * each:,.2f} {WAYS[key]}"
        for key, measured in metrics.methods.by_key().items()
        if key in WAYS and key != metrics.selected_key and measured.distinct is not None
    ]
    if wasted:
        own = metrics.chosen.n - (metrics.chosen.distinct or 0)
        text += (
            f" Of that, {own * length * each:,.2f} goes to {metrics.noun}s no different from "
            f"another, but {' and '.join(wasted)}."
        )
    return text


def comparison_table(metrics: Metrics) -> list[dict[str, Any]]:
    """Rows of the comparison; the best cell of each column is marked."""
    winners = best(metrics)
    return [
        {
            "selected": key == metrics.selected_key,
            "cells": [
                {"text": text, "best": (key, title) in winners} for title, text in row.items()
            ],
        }
        for key, row in zip(metrics.methods.by_key(), comparison(metrics), strict=True)
    ]


def sampling_text(metrics: Metrics) -> dict[str, str] | None:
    """From how many pairs of how many units distances are estimated, None where all were formed."""
    for measured in metrics.methods.by_key().values():
        if not measured.exact:
            return {
                "pairs": f"{measured.sampled_pairs:,}",
                "units": f"{measured.sampled_frames:,}",
            }
    return None


def with_flat_text(metrics: Metrics) -> str:
    """The largest gaps over all of the corpus; empty where nothing was left out of it as flat."""
    gaps = [
        f"{NAMES[key]} {measured.coverage_radius_all:.3f}"
        for key, measured in metrics.methods.by_key().items()
        if measured.coverage_radius_all is not None
    ]
    if not gaps:
        return ""
    return (
        "Frames that show nothing, or were skipped because nothing resembles them, were left out "
        f"first, and no gap is measured to them; with them the largest gaps are: {', '.join(gaps)}."
    )


def input_facts(counts: Counts) -> list[str]:
    """What there was to choose from, and why it ended."""
    facts = [
        (counts.decodable_frames, "decodable frame{s}"),
        (counts.undecodable_frames, "frame{s} that cannot be decoded"),
        (counts.suspect_frames, "with damaged pictures left out"),
        (counts.flat_frames, "that show nothing left out"),
        (counts.outlier_frames, "that nothing resembles skipped"),
        (counts.exact_duplicates, "exact duplicate{s} left out"),
        (counts.rejected_frames, "left out by limits and conditions"),
        (counts.less_like_frames, "left out as less like what was asked for"),
        (counts.frames_in_no_sequence, "in no whole sequence"),
        (counts.frames_without_objects or 0, "without an object left out"),
        (counts.kept_frames, "of the chosen were selected before this run"),
        (counts.absent_frames, "of the chosen are of videos that are gone or have changed"),
        (counts.gone_frames, "selected before, but dropped with their videos"),
    ]
    selected = counts.selected_frames
    first = f"{selected:,} frame{plural(selected)} selected: {STOPPED[counts.stopped_by]}"
    rest = (f"{number:,} {what.format(s=plural(number))}" for number, what in facts if number)
    return [first, *rest]


def plural(number: int) -> str:
    """What a noun gets that so many are counted of."""
    return "s" * (number != 1)


def picking_order(folder: OutputFolder) -> str:
    """What can be said of the order of picks."""
    selecting = folder.run.parameters.selecting
    plain = not any(selecting.get(option) for option in REORDERING)
    if (
        folder.metrics.selected != Method.CORESET
        or not plain
        or folder.selection["preselected"].any()
    ):
        return ""
    if selecting.get("objects"):
        return (
            ": each holds the object that was the farthest from all objects of those before it, so "
            "the first few hold the most different of the corpus"
        )
    rows = folder.units
    exchanged = int((rows["row"] != rows["center_row"]).sum())
    text = (
        ": each was the farthest from all before it, so the first few are the most different of "
        "the corpus"
    )
    if exchanged:
        what = f"a sharper {folder.metrics.noun} of the same second"
        text += f"; {exchanged:,} of them gave way to {what}"
    return text


def radius_text(metrics: Metrics, counts: Counts) -> str:
    """What the curve of the radius shows."""
    noun, knee = metrics.noun, metrics.knee
    bound = ""
    if metrics.selected == Method.CORESET:
        bound = f", and a lower bound for any choice of as many {noun}s (Gonzalez 1985)"
    text = (
        f"The largest gap left after each pick{bound}. The marks are the methods at the same count."
    )
    if counts.rejected_frames or counts.less_like_frames:
        text += (
            " The curve is of the frames that might be chosen; the marks are of the whole corpus, "
            "with what was left out as well."
        )
    if knee is None:
        return text
    return text + (
        f" The curve bends at {knee.k:,} {noun}s, at a radius of {knee.radius:.3f}: up to "
        f"there each pick takes {knee.before:.4f} off the largest gap on average, after that "
        f"{knee.after:.4f}."
    )


def map_text(evidence: Evidence, noun: str) -> str:
    """What the map shows."""
    shown, chosen = len(evidence.mapped), int(evidence.mapped["chosen"].sum())
    text = (
        f"Every {noun} of the corpus"
        if shown == evidence.units
        else f"{shown:,} of {evidence.units:,} {noun}s, drawn at random, and the first chosen"
    )
    return (
        f"{text}, coloured by video; the {chosen:,} diamonds are chosen. What is near on the map "
        "is only roughly near in the embedding: the two axes of the PCA show "
        f"{evidence.variance:.0%} of the variance. Hover over a point to see it."
    )
