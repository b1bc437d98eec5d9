"""Small videos with boxes in them, and running the objects stage as the flow does."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreframe.flows.parameters import Compute, Ingestion
from coreframe.flows.preflight import follow_store
from coreframe.tasks.export.task import take_out
from coreframe.tasks.objects.task import ObjectCounts, embed_objects
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store
from tests.videos import RECIPES, make, scenes

WIDTH, HEIGHT, FRAMES = 96, 64, 40

Row = Sequence[object]


def videos(folder: Path, names: Sequence[str]) -> Path:
    """Videos of FRAMES frames, no two alike."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        paint = lambda frame, width, height, seed=number: scenes(  # noqa: E731
            50 * (seed + 1) + frame, width, height
        )
        make(replace(RECIPES[0], file=name, paint=paint, frames=FRAMES), folder)
    return folder


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = ()) -> Path:
    """Write boxes: video, frame_index, x, y, width, height, label, score."""
    header = columns or ["video", "frame_index", "x", "y", "width", "height", "label", "score"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def drawn_boxes(names: Sequence[str], frames: Sequence[int], each: int, seed: int) -> list[Row]:
    """Boxes anywhere in frames, in no order; of each frame the first is the whole picture."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for name in names:
        for frame in frames:
            rows.append([name, frame, 0, 0, WIDTH, HEIGHT, "all", ""])
            for _ in range(each - 1):
                width, height = rng.uniform(16, WIDTH), rng.uniform(16, HEIGHT)
                x, y = rng.uniform(0, WIDTH - width), rng.uniform(0, HEIGHT - height)
                label, score = f"kind {rng.integers(3)}", round(float(rng.random()), 3)
                rows.append([name, frame, *np.round([x, y, width, height], 2), label, score])
    return [rows[place] for place in rng.permutation(len(rows))]


def embed(store: Store, files: Sequence[Path], cluster: str, **options: Any) -> ObjectCounts:
    """Embed boxes, and take out what does not give its frames, as the flow does."""
    compute = Compute(device="cpu")
    spec = compute.embedder(follow_store(store.path, Ingestion(), compute))
    counts = embed_objects(store, [str(file) for file in files], spec, cluster, **options)
    if counts.faults:
        take_out(store, counts.faults)
    return counts


def held(store: Store) -> tuple[list[dict[str, Any]], np.ndarray]:
    """All committed objects with their vectors, whatever blocks they lie in."""
    objects = StoredObjects(store)
    table = objects.table()
    return table.to_pylist(), objects.reader()(table["object"].to_numpy())


def without_nan(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """NaN is not equal to itself."""
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]
