"""Other selections on the page, beside the one it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coreframe.tasks.output.result import Written
from coreframe.tasks.report.gallery import data_url, gallery_rows, time_text
from coreframe.tasks.report.tables import NAMES, comparison, size

SHEET = 24
"""Frames shown of each other selection."""


@dataclass(frozen=True)
class Other:
    """Another selection to show beside the page's own, with small pictures by file."""

    name: str
    written: Written
    images: Mapping[str, bytes]


def same_space(one: Written, other: Written) -> bool:
    """Whether distances of two selections can be compared: between the same kind of vectors."""
    kinds = {(written.run["store"]["fingerprint"], written.length) for written in (one, other)}
    return len(kinds) == 1


def selections_beside(written: Written, others: Sequence[Other]) -> dict[str, Any] | None:
    """The section that compares selections, None when there is no other."""
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
                    "label": f"{place + 1} · {time_text(row.time_s)}",
                }
                for place, row in enumerate(gallery_rows(other.written.units.head(SHEET)))
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
