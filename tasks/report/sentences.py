"""The sentences of the page: the verdict, the facts, what was compared."""

from collections.abc import Mapping
from typing import Any

from coreframe.tasks.output.result import Written
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.facts import STOPPED
from coreframe.tasks.report.tables import NAMES, best, comparison, size


def subtitle(written: Written) -> str:
    """What the selection is from."""
    store, parameters = written.run["store"], written.run["parameters"]
    rejected = written.run["counts"]["exact_duplicates"]
    return (
        f"Store: {parameters['store']}. Embedder: {store['embedder']}. Sampling: "
        f"{store['sampling']}. Exact duplicates left out before any method chose: {rejected:,}."
    )


def facts_of_run(
    metrics: Mapping[str, Any], factor: str, selected: str, noun: str
) -> list[dict[str, str]]:
    """The figures at the top of the page, each with what it means."""
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


def comparison_table(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the comparison; the best cell of each column is marked."""
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


def sampling_text(metrics: Mapping[str, Any]) -> dict[str, str] | None:
    """From how many pairs of how many units distances are estimated, None where all were formed."""
    for measured in metrics["methods"].values():
        if not measured["exact"]:
            return {
                "pairs": f"{measured['sampled_pairs']:,}",
                "units": f"{measured['sampled_frames']:,}",
            }
    return None


def input_facts(counts: Mapping[str, Any]) -> list[str]:
    """What there was to choose from, and why it ended."""
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


def picking_order(written: Written) -> str:
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


def radius_text(metrics: Mapping[str, Any], noun: str) -> str:
    """What the curve of the radius shows."""
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


def map_text(evidence: Evidence, noun: str) -> str:
    """What the map shows."""
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
