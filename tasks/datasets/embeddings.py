"""CSV of file names, embeddings and labels, as the tools of Lightly read it."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coreframe.tasks.datasets.chosen import Chosen, Frame
from coreframe.tasks.errors import UsageError
from coreframe.tasks.scale import SCALE
from coreframe.tasks.store.store import Store

LINES_AT_ONCE = 256
"""That are turned into text at a time: as Python's numbers, vectors take ten times the memory."""

COMPARED = ["row", "video", "frame_index", "pts"]
"""By which a frame is known again; of ``video`` the name, since numbers differ between stores."""


def write_embeddings(
    chosen: Chosen, folder: Path, store: Store, lines_at_once: int = LINES_AT_ONCE
) -> None:
    """Write ``embeddings.csv``: ``filenames,embedding_0,...,embedding_{d-1},labels``.

    File names are those in the selection's ``frames`` folder, no image is copied. A label is the
    number that the frame's video has in the store. The numbers are those that Zarr reads from the
    store, to the bit, once they are float32.

    Raises:
        UsageError: the store does not hold these frames.
    """
    frames = chosen.frames
    rows = np.array([frame.facts["row"] for frame in frames], np.int64)
    labels = _videos(frames, rows, store)
    vectors = store.read_rows(rows)
    with (folder / "embeddings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["filenames", *(f"embedding_{i}" for i in range(vectors.shape[1])), "labels"]
        )
        for start in range(0, len(frames), lines_at_once):
            some = slice(start, start + lines_at_once)
            numbers = (vectors[some] / SCALE).tolist()
            for frame, vector, label in zip(frames[some], numbers, labels[some], strict=True):
                table.writerow([frame.file_name, *vector, label])


def _videos(frames: list[Frame], rows: np.ndarray, store: Store) -> list[int]:
    """The number of each frame's video in the store, if its rows are these frames.

    Raises:
        UsageError: naming the first that is another one there, or none.
    """
    names = {video.video: video.path for video in store.read_catalogue().videos}
    held: dict[int, dict[str, int]] = {}
    for block in np.unique(rows // store.block_rows).tolist():
        table = store.committed(block)
        if table is not None:
            own = table.filter(pc.is_in(table["row"], pa.array(rows)))
            held |= {one["row"]: one for one in own.select(COMPARED).to_pylist()}
    for frame in frames:
        there = held.get(frame.facts["row"], {})
        said = {name: frame.facts[name] for name in COMPARED}
        if there | {"video": names.get(there.get("video", -1))} != said:
            raise UsageError(
                f"row {said['row']} of the store {store.path} is not frame {said['frame_index']} "
                f"of {said['video']}: name the store that the selection is from with --store, or "
                "select again if its videos have been renamed."
            )
    return [held[row]["video"] for row in rows.tolist()]
