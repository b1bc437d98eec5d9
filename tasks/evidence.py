"""Gather what a report shows beside the numbers, from a store and a selection, on the workers."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from dask.distributed import Client

from tasks.lattice import SCALE
from tasks.partitions import DaskPartitions
from tasks.pictures import pictures_of_dropped, small_pictures
from tasks.reporting.evidence import Evidence
from tasks.reporting.projection import projections
from tasks.select import read_corpus, unit_reader
from tasks.selection.choice import Choice
from tasks.selection.partition import Represented
from tasks.selection.units import form_units
from tasks.store.store import Store

MAPPED = 20_000
"""Units on the map; of more, as many drawn at random."""

MAPPED_CHOSEN = 5_000
"""Chosen units on the map, the first in pick order."""

COMPARED = 12
"""Chosen units shown beside what they stand for, and dropped units shown that lie far away."""


def gather_evidence(
    store: Store,
    choice: Choice,
    selection: pd.DataFrame,
    fixed_rate: np.ndarray,
    out: Path,
    device: str,
    cluster: str,
    small: Mapping[str, bytes] = MappingProxyType({}),
) -> Evidence:
    """Look at a selection in its store.

    Args:
        store: what it was chosen from.
        choice: what was asked for: it says which units the corpus has.
        selection: what ``selection.parquet`` holds.
        fixed_rate: (m,) int64 rows of the frames that the fixed rate chooses.
        out: the folder with the images.
        device: where workers keep tensors.
        cluster: the scheduler's address.
        small: small pictures of files that were made before.
    """
    videos = {video.video: video for video in store.read_catalogue().videos}
    corpus = read_corpus(store, list(dict.fromkeys((*choice.columns, "time_s"))))
    units = form_units(corpus, {v.video: v.first_row for v in videos.values()}, choice)
    times = corpus.groupby("video")["time_s"]
    spans = pd.DataFrame({"sampled": times.size(), "first_s": times.min(), "last_s": times.max()})
    del corpus, times  # as large as the state of a whole selection
    chosen = selection.iloc[:: units.length]
    picks = chosen["row"].to_numpy()
    sample = np.random.default_rng(choice.seed).permutation(len(units))[:MAPPED]
    present = np.isin(picks, units.rows)
    asked = np.union1d(units.rows[sample], picks[:MAPPED_CHOSEN][present[:MAPPED_CHOSEN]])
    with Client(cluster) as client:
        parts = DaskPartitions(client, store, units.rows, length=units.length, device=device)
        centers = np.asarray(unit_reader(store, units)(picks))
        stood, nearest, squared = parts.represented(picks, centers, asked)
        vectors = parts.collect(asked)
        del parts
        dropped = _dropped(store, stood)
        dropped["name"] = [videos[number].path for number in dropped["video"]]
        images, room = small_pictures(client, out, chosen["file"], small)
        frames = pictures_of_dropped(client, store, dropped, videos)
    planes, variance = projections(vectors, choice.seed)
    mapped = store.frames_at(asked, ["row", "video", "time_s"])
    mapped["name"] = [videos[number].path for number in mapped.pop("video")]
    mapped["pick"], mapped["distance"] = nearest, np.sqrt(squared) / SCALE
    mapped["chosen"] = np.isin(asked, picks)
    for name, plane in planes.items():
        mapped[f"{name} x"], mapped[f"{name} y"] = plane.T
    return Evidence(
        units=len(units),
        stands_for=stood.count - present,
        dropped=dropped,
        mapped=mapped,
        variance=variance,
        spans=spans,
        fixed_rate=store.frames_at(fixed_rate, ["video", "time_s"]),
        images=images,
        room=room,
        frames=frames,
    )


def _dropped(store: Store, stood: Represented) -> pd.DataFrame:
    """See :attr:`Evidence.dropped`."""
    some = np.flatnonzero(stood.near_row >= 0)
    by_number = some[np.argsort(-stood.count[some], kind="stable")][:COMPARED]
    by_distance = some[np.argsort(-stood.far[some], kind="stable")][:COMPARED]
    columns = ["row", "video", "frame_index", "time_s", "digest"]
    parts = [
        (by_number, "near", stood.near_row, stood.near),
        (by_number, "far", stood.far_row, stood.far),
        (by_distance, "farthest", stood.far_row, stood.far),
    ]
    return pd.concat(
        [
            store.frames_at(rows[picks], columns).assign(
                pick=picks, kind=kind, distance=np.sqrt(squared[picks]) / SCALE
            )
            for picks, kind, rows, squared in parts
        ],
        ignore_index=True,
    )
