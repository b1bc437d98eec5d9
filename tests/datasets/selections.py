"""Output folders with a selection and its store, made by hand: no video, no run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coreframe.tasks.output.images import encode, file_stems
from coreframe.tasks.output.selection_table import SELECTION_SCHEMA
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.store import Store
from tests.output.made import make_metrics, make_run
from tests.stores import make_store, walks

NAMES = [
    'ünï "quoted", x\ny 视频.mp4',
    "day 1/it's, 'so'; \\n.mkv",
    "a.b.mp4",
    "a_b.mp4",
    "return\rand\ttab.mov",
    " =1+1.mp4",
]
NUMBERS = ["007", "NA", "2024-01-01", "1e5", "true", "1.50"]
"""Files without a suffix whose names look like something else."""

FRAMES_OF_EACH = 7


@dataclass(frozen=True)
class Made:
    """An output folder and what is true of it."""

    out: Path
    store: Store
    table: pd.DataFrame
    """``selection.parquet``."""

    @property
    def exported(self) -> pd.DataFrame:
        return self.table[self.table["file"].notna()].reset_index(drop=True)

    def facts(self, missing: float) -> list[dict[str, Any]]:
        """What every form holds of each frame with an image; with this for NaN."""
        rows = []
        for row in self.exported.to_dict("records"):
            file = row.pop("file")
            known = {
                k: missing if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()
            }
            rows.append({"file_name": Path(file).name} | known)
        return rows

    def images(self) -> dict[str, bytes]:
        return {Path(file).name: (self.out / file).read_bytes() for file in self.exported["file"]}


def make_selection(
    folder: Path,
    *,
    format: str = "png",
    gone: tuple[int, ...] = (),
    sequence_length: int = 1,
    frames: int = 18,
    seed: int = 0,
    preselected: int = 2,
    names: Sequence[str] = NAMES,
) -> Made:
    """Write ``folder/store`` and ``folder/out``, of videos with awkward names.

    Args:
        folder: where to.
        format: of the images, of which no two have the same size.
        gone: ranks of frames without an image.
        sequence_length: frames a sequence.
        frames: chosen ones.
        seed: of which, and of their distances.
        preselected: of the first, without a radius.
        names: of the videos, six.
    """
    rng = np.random.default_rng(seed)
    rows = len(NAMES) * FRAMES_OF_EACH
    store = make_store(
        folder / "store", walks(rows, 16, seed), [FRAMES_OF_EACH] * len(NAMES), block_rows=8
    )
    videos = store.read_catalogue().videos
    named = [replace(video, path=name) for video, name in zip(videos, names, strict=True)]
    store.write_catalogue(Catalogue(named))
    table = store.frames_at(rng.permutation(rows)[:frames])
    stems = file_stems(dict(enumerate(names)))
    files = [
        f"frames/{stems[video]}_{index:06d}.{format}"
        for video, index in zip(table["video"], table["frame_index"], strict=True)
    ]
    ranks = np.arange(frames)
    table = table.assign(
        rank=ranks,
        center_row=table["row"] - ranks % 2,
        video=[names[video] for video in table["video"]],
        distance=np.where(ranks, rng.random(frames), np.nan),
        radius=np.where(ranks < preselected, np.nan, rng.random(frames)),
        lower_bound=np.where(ranks < preselected, np.nan, rng.random(frames)),
        preselected=ranks < preselected,
        sequence=ranks // sequence_length,
        file=[None if rank in gone else file for rank, file in enumerate(files)],
    )
    out = folder / "out"
    (out / "frames").mkdir(parents=True)
    for rank, file in enumerate(files):
        noise = rng.integers(0, 256, (5 + rank, 40 - rank, 3), np.uint8)
        (out / file).write_bytes(encode(noise, format))
    for rank in gone:
        (out / files[rank]).unlink()
    columns = table[SELECTION_SCHEMA.names]
    arrow = pa.Table.from_pandas(columns, schema=SELECTION_SCHEMA, preserve_index=False)
    for name in ("distance", "radius", "lower_bound"):
        nan = arrow[name].combine_chunks().fill_null(float("nan"))
        arrow = arrow.set_column(arrow.schema.get_field_index(name), name, nan)
    pq.write_table(arrow, out / "selection.parquet")
    run = make_run(store, {}, selecting={"sequence_length": sequence_length})
    (out / "run.json").write_text(run.text())
    (out / "metrics.json").write_text(make_metrics(table["row"].tolist(), sequence_length).text())
    return Made(out, store, pd.read_parquet(out / "selection.parquet"))


def files_of(folder: Path) -> dict[str, bytes]:
    """All files in a folder by their relative names."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
