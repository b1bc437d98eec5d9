"""Other selections on the page, for comparison with the one it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report.gallery import data_url, gallery_rows, time_text
from coreframe.tasks.report.tables import comparison, size

SHEET = 24
"""Frames shown of each other selection."""


@dataclass(frozen=True)
class Other:
    """Another selection to compare the page's own with, and small pictures of it by file."""

    name: str
    folder: OutputFolder
    images: Mapping[str, bytes]


def same_space(one: OutputFolder, other: OutputFolder) -> bool:
    """Whether distances of two selections can be compared: between the same kind of vectors."""
    return (one.run.store.fingerprint, one.length) == (other.run.store.fingerprint, other.length)


def selections_compared(folder: OutputFolder, others: Sequence[Other]) -> dict[str, Any] | None:
    """The section that compares selections, None when there is no other."""
    if not others:
        return None
    own = _keys(folder)
    named = [("this selection", folder), *((other.name, other.folder) for other in others)]
    foreign = [other.name for other in others if not same_space(folder, other.folder)]
    note = ""
    if foreign:
        note = (
            "Of another embedder or sequence length, so that distances cannot be compared: "
            f"{', '.join(foreign)}."
        )
    return {
        "rows": [_row(name, one, own) for name, one in named],
        "note": note,
        "sheets": [{"name": other.name, "picks": _first_picks(other)} for other in others],
    }


def _row(name: str, one: OutputFolder, own: set[tuple[str, int]]) -> dict[str, str]:
    """One selection in the table; ``own`` are the frames of the page's."""
    nouns = "frames" if one.length == 1 else f"sequences of {one.length}"
    (_, number), *cells = _selected_cells(one).items()
    return {
        "selection": name,
        "chosen": f"{number} {nouns}",
        **dict(cells),
        "kept": size(one.metrics.storage.kept_frames_bytes),
        "frames in common": f"{len(own & _keys(one)):,}",
        "method": one.metrics.selected,
        "embedder": one.run.store.embedder,
        "corpus": f"{one.metrics.methods.original.n:,}",
    }


def _first_picks(other: Other) -> list[dict[str, str]]:
    return [
        {
            "picture": data_url(other.images.get(row.file)),
            "alt": f"{row.video} at {row.time_s:.2f} s",
            "video": row.video,
            "label": f"{place + 1} · {time_text(row.time_s)}",
        }
        for place, row in enumerate(gallery_rows(other.folder.units.head(SHEET)))
    ]


def _selected_cells(one: OutputFolder) -> dict[str, str]:
    """The selected method's row of the comparison, its name left out."""
    rows = zip(one.metrics.methods.by_key(), comparison(one.metrics), strict=True)
    row = dict(rows)[one.metrics.selected_key]
    return {title: text for title, text in row.items() if title != "method"}


def _keys(one: OutputFolder) -> set[tuple[str, int]]:
    frames = one.selection
    return set(zip(frames["video"], frames["frame_index"].tolist(), strict=True))
