"""The chosen frames on the page, in pick order and by video, and those that were dropped."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report.evidence import Evidence, picture_key

STRIP_MARKS = 200
"""Frames of one method that are marked on the strip of one video."""

NO_FILE = "no image: its video is gone or has changed, or it could not be written"


def data_url(picture: bytes | None) -> str:
    """A WebP picture as text inside the page; empty for None."""
    return "" if picture is None else f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def chosen_frames(folder: OutputFolder, evidence: Evidence) -> list[dict[str, Any]]:
    """One entry a chosen unit, in pick order."""
    found, alike = [], np.argsort(evidence.alike)
    for pick, row in enumerate(gallery_rows(folder.units)):
        distance = "" if not np.isfinite(row.distance) else f"{row.distance:.3f}"
        stands = int(evidence.stands_for[pick])
        file = row.file if isinstance(row.file, str) else ""
        apart = f", {distance} from all before it" if distance else ""
        found.append(
            {
                "place": pick,
                "video": row.video,
                "time": time_text(row.time_s),
                "file": file,
                "picture": data_url(evidence.images.get(file)),
                "label": f"{pick + 1} · {time_text(row.time_s)}"
                + (f" · {distance}" if distance else ""),
                "alt": f"Number {pick + 1}: {row.video} at {row.time_s:.2f} s",
                "text": f"Number {pick + 1}: {row.video}, frame {row.frame_index}, "
                f"{row.time_s:.3f} s{apart}. The nearest chosen of {stands:,} others.",
                "row": None,
                "again": False,
                "alike": int(alike[pick]) if pick < len(alike) else pick,
                "missing": NO_FILE if not file else "no picture",
            }
        )
    return found


def gallery_rows(frames: pd.DataFrame) -> list[Any]:
    """Its rows, with columns as attributes."""
    return list(frames.itertuples(index=False))


def time_text(seconds: float) -> str:
    """``7.25 s``, ``12:07`` or ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def away(distance: float) -> str:
    """``0.123 away``; what is not the same is not 0."""
    return "under 0.001 away" if 0 < distance < 0.0005 else f"{distance:.3f} away"


def graded_frames(evidence: Evidence, measure: str) -> list[dict[str, Any]]:
    """One entry each of the units along a measure's distribution."""
    return [
        _unchosen(
            evidence,
            row,
            f"{measure} {row.value:.3g}",
            f"{row.value:.3g} · {100 * row.below:.0f} %",
        )
        for row in gallery_rows(evidence.graded[evidence.graded["measure"] == measure])
    ]


def marked_frames(
    evidence: Evidence, picks: Sequence[Mapping[str, Any]], mark: str
) -> list[Mapping[str, Any]]:
    """The entries of the chosen units that have a mark."""
    return [picks[place] for place in np.flatnonzero(evidence.marks[mark]).tolist()]


def rival_frames(evidence: Evidence, method: str) -> list[dict[str, Any]]:
    """One entry each of some of the units that another method chooses."""
    rows = gallery_rows(evidence.sheets[evidence.sheets["method"] == method])
    entries = [_unchosen(evidence, row, "Chosen", time_text(row.time_s)) for row in rows]
    return [entry | {"again": bool(row.again)} for entry, row in zip(entries, rows, strict=True)]


def flat_frames(evidence: Evidence) -> list[dict[str, Any]]:
    """One entry each of some of the units that show nothing."""
    return [
        _unchosen(evidence, row, "Left out", time_text(row.time_s))
        for row in gallery_rows(evidence.flat)
    ]


def odd_frames(evidence: Evidence) -> list[dict[str, Any]]:
    """One entry each of some of the units that were skipped because nothing resembles them."""
    return [
        _unchosen(
            evidence,
            row,
            f"Skipped, typical {row.typical:.3f}",
            f"{row.typical:.3f} · {time_text(row.time_s)}",
        )
        for row in gallery_rows(evidence.odd)
    ]


def _unchosen(evidence: Evidence, row: Any, what: str, label: str) -> dict[str, Any]:
    """The entry of a frame of which no image was written."""
    return {
        "picture": data_url(evidence.frames.get(picture_key(row.row, getattr(row, "object", -1)))),
        "alt": f"{what}: {row.name} at {row.time_s:.2f} s",
        "row": row.row,
        "label": label,
        "time": time_text(row.time_s),
        "video": row.name,
        "again": False,
        "missing": "cannot be decoded any more",
    }


def missed_frames(
    folder: OutputFolder, evidence: Evidence, picks: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Of each of the other methods the chosen units that it misses, the worst first.

    To be missed a unit must lie farther from all that the method chooses than any lies from the
    selection itself.
    """
    radius = folder.metrics.chosen.coverage_radius
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in evidence.rivals}
    for row in gallery_rows(evidence.missed):
        if radius is None or row.distance <= radius:
            continue
        pick = picks[row.pick]
        found[row.method].append(
            {
                "chosen": dict(pick) | {"label": f"number {row.pick + 1}"},
                "rival": _unchosen(evidence, row, "The nearest", away(row.distance)),
                "strip": _strip(folder, evidence, row, pick["video"]),
            }
        )
    return found


def _strip(folder: OutputFolder, evidence: Evidence, row: Any, video: str) -> dict[str, Any]:
    """Where in a pick's video frames are chosen: by the selection, and by another method."""
    span = evidence.spans.loc[row.of_video]
    length_s = max(span["last_s"] - span["first_s"], 1e-9)

    def places(times: pd.Series) -> list[str]:
        share = 100 * (times.to_numpy(float) - span["first_s"]) / length_s
        thinned = share[:: max(1, -(-len(share) // STRIP_MARKS))]
        return [f"{place:.2f}" for place in np.clip(thinned, 0, 100)]

    theirs = evidence.rivals[row.method]
    units = folder.units
    return {
        "own": places(units["time_s"][units["video"] == video]),
        "rival": places(theirs["time_s"][theirs["video"] == row.of_video]),
        "this": places(pd.Series([row.of_time_s]))[0],
        "text": f"{video}, {time_text(span['first_s'])} to {time_text(span['last_s'])}",
    }


def dropped_frames(evidence: Evidence, picks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sections of what was dropped: the farthest frames, and what some picks stand for.

    Where frames are chosen by the objects in them, objects are shown.
    """
    by_kind = {kind: some for kind, some in evidence.dropped.groupby("kind", sort=False)}

    def chosen(row: Any) -> dict[str, Any]:
        label = f"number {row.pick + 1}, for {evidence.stands_for[row.pick]:,} others"
        crop = evidence.frames.get(picture_key(0, row.beside)) if row.beside >= 0 else None
        shown = {} if crop is None else {"picture": data_url(crop)}
        return dict(picks[row.pick]) | {"label": label} | shown

    def dropped(row: Any) -> dict[str, Any]:
        return _unchosen(evidence, row, "Dropped", away(row.distance))

    def rows_of_kind(kind: str) -> list[Any]:
        return gallery_rows(by_kind[kind]) if kind in by_kind else []

    return {
        "farthest": [
            {"dropped": dropped(row), "chosen": chosen(row)} for row in rows_of_kind("farthest")
        ],
        "represented": [
            {"chosen": chosen(near), "near": dropped(near), "far": dropped(far)}
            for near, far in zip(rows_of_kind("near"), rows_of_kind("far"), strict=True)
        ],
    }
