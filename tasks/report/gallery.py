"""The chosen frames on the page, in pick order and by video, and those that were dropped."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report.evidence import Evidence

NO_FILE = "no image: its video is gone or has changed, or it could not be written"


def data_url(picture: bytes | None) -> str:
    """A WebP picture as text inside the page; empty for None."""
    return "" if picture is None else f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def chosen_frames(folder: OutputFolder, evidence: Evidence) -> list[dict[str, Any]]:
    """One entry a chosen unit, in pick order."""
    found = []
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


def flat_frames(evidence: Evidence) -> list[dict[str, Any]]:
    """One entry each of some of the units that show nothing."""
    return [
        {
            "picture": data_url(evidence.frames.get(row.row)),
            "alt": f"Left out: {row.name} at {row.time_s:.2f} s",
            "label": time_text(row.time_s),
            "video": row.name,
        }
        for row in gallery_rows(evidence.flat)
    ]


def dropped_frames(evidence: Evidence, picks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sections of what was dropped: the farthest frames, and what some picks stand for."""
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
            "time": time_text(row.time_s),
            "video": row.name,
            "missing": "cannot be decoded any more",
        }

    def rows_of_kind(kind: str) -> list[Any]:
        return gallery_rows(by_kind[kind]) if kind in by_kind else []

    return {
        "farthest": [
            {"dropped": dropped(row), "chosen": chosen(row.pick)}
            for row in rows_of_kind("farthest")
        ],
        "represented": [
            {"chosen": chosen(near.pick), "near": dropped(near), "far": dropped(far)}
            for near, far in zip(rows_of_kind("near"), rows_of_kind("far"), strict=True)
        ],
    }
