"""Running the stages in a test, and recomputing what they wrote, independently of them."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import zarr

from coreframe.flows.parameters import Compute, Ingestion
from coreframe.flows.preflight import open_store
from coreframe.tasks.embed.plan import PART_LIMITS, PartLimits
from coreframe.tasks.embed.task import EmbedCounts, embed_frames
from coreframe.tasks.forget.task import complete
from coreframe.tasks.index.task import index_files
from coreframe.tasks.select.choice import SHARPEST_WITHIN
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import discover


def ingest(
    inputs: Sequence[Path | str],
    store: Path | str,
    cluster: str,
    device: str = "cpu",
    *,
    limit_s: float = 0.0,
    retry: bool = False,
    limits: PartLimits = PART_LIMITS,
    **ingestion: Any,
) -> tuple[Store, EmbedCounts]:
    """Index and embed, as the ``ingest`` flow does, without Prefect."""
    compute = Compute(device=device)
    opened, parameters = open_store(str(store), Ingestion(**ingestion), compute)
    files = discover([str(path) for path in inputs])
    sampling = parameters.sampling()
    limit = {"stall_limit_s": limit_s}
    forgotten = complete(opened)
    index_files(
        opened, files, sampling, cluster, retry_quarantined=retry, forgotten=forgotten, **limit
    )
    spec = compute.embedder(parameters)
    who = parameters.decoder
    counts = embed_frames(opened, sampling, spec, cluster, decoder=who, limits=limits, **limit)
    return opened, counts


def run(
    place: Path | str, store: Path | str, cluster: str, block_rows: int = 64, **options: Any
) -> tuple[Store, EmbedCounts]:
    """:func:`ingest` of one folder, or whatever one URL names, into small blocks."""
    return ingest([place], store, cluster, block_rows=block_rows, **options)


def by_name(store: Store) -> dict[str, Video]:
    return {Path(video.path).stem: video for video in store.read_catalogue().videos}


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def content(store: Store) -> tuple[pd.DataFrame, np.ndarray]:
    """All committed rows with their embeddings, whatever blocks they lie in."""
    frames = store.frames()
    return frames, store.read_rows(frames["row"].to_numpy())


def stored_corpus(store: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Decodable frames and their float64 vectors, read with zarr and pandas alone."""
    frames = pd.concat(
        [pd.read_parquet(path) for path in sorted((store / "frames").glob("*.parquet"))]
    )
    frames = frames[frames["state"] == "ok"].sort_values("row").reset_index(drop=True)
    array = zarr.open_group(store / "embeddings.zarr", mode="r")["embedding"]
    assert array.dtype == np.int16
    vectors = np.asarray(array[:], np.float64) * array.attrs["scale_factor"]
    return frames, vectors[frames["row"].to_numpy()]


def naive_greedy(vectors: np.ndarray, open_rows: np.ndarray, taken: list[int]) -> list[int]:
    """What the textbook's greedy k-center picks after each of the centers that were taken.

    In integers; ties to the lower place. What comes after the last one is left out.
    """
    lattice = np.rint(vectors * 4000).astype(np.int64)
    open_rows, picks = open_rows.copy(), []
    distance = np.full(len(lattice), np.iinfo(np.int64).max)
    for center in taken[:-1]:
        distance = np.minimum(distance, ((lattice - lattice[center]) ** 2).sum(axis=1))
        open_rows[center] = False
        picks.append(int(np.argmax(np.where(open_rows, distance, -1))))
    return picks


def check_metrics(store: Path, out: Path) -> None:
    """Recompute every number of ``metrics.json`` in float64."""
    metrics = json.loads((out / "metrics.json").read_text())
    frames, vectors = stored_corpus(store)
    place = pd.Series(np.arange(len(frames)), index=frames["row"])
    shown = ~frames["flat"].to_numpy()  # without --keep-flat
    for name, method in metrics["methods"].items():
        rows = frames["row"][shown].tolist() if name == "original" else method["rows"]
        own = vectors[place[rows].to_numpy()]
        assert method["n"] == len(own)
        assert method["exact"]
        squares = (own**2).sum(axis=1)
        gram = squares[:, None] + squares[None] - 2 * own @ own.T
        pairs = np.sqrt(np.maximum(gram, 0))[np.triu_indices(len(own), 1)]
        p10, p90 = np.percentile(pairs, [10, 90])
        expected = {
            "l2_mean": pairs.mean(),
            "l2_min": pairs.min(),
            "l2_max": pairs.max(),
            "l2_p10": p10,
            "l2_p90": p90,
        }
        cross = (vectors**2).sum(axis=1)[:, None] + squares[None] - 2 * vectors @ own.T
        nearest = np.sqrt(np.maximum(cross.min(axis=1), 0))
        seen = nearest[shown]
        expected |= {"coverage_radius": seen.max(), "coverage_mean": seen.mean()}
        if not shown.all() and name != "original":
            expected["coverage_radius_all"] = nearest.max()
        for key, value in expected.items():
            assert abs(method[key] - value) < 1e-4, (name, key)


def check_picks(store: Path, out: Path) -> None:
    """The coreset's picks are those of the textbook greedy, or sharper ones of the same second."""
    selection = pd.read_parquet(out / "selection.parquet")
    frames, vectors = stored_corpus(store)
    place = pd.Series(np.arange(len(frames)), index=frames["row"])
    sound = frames[~frames["suspect"] & ~frames["flat"]]
    distinct = frames["row"].isin(sound.drop_duplicates("digest")["row"]).to_numpy()
    taken, centers = (place[selection[name]].tolist() for name in ("row", "center_row"))
    assert naive_greedy(vectors, distinct, taken) == centers[1:]
    own = np.rint(vectors[taken] * 4000)
    moved = ((own - np.rint(vectors[centers] * 4000)) ** 2).sum(axis=1)
    assert np.sqrt(moved.max()) / 4000 <= SHARPEST_WITHIN
    for name, most in (("video", 0), ("time_s", 1.0)):
        apart = frames[name].to_numpy()[taken] - frames[name].to_numpy()[centers]
        assert np.abs(apart).max() <= most
    gained = frames["sharpness"].to_numpy()[taken] - frames["sharpness"].to_numpy()[centers]
    assert (gained[moved > 0] > 0).all()
    assert selection["rank"].tolist() == list(range(len(selection)))
    for rank in range(1, len(selection)):
        nearest = np.sqrt(((own[:rank] - own[rank]) ** 2).sum(axis=1).min()) / 4000
        assert abs(selection["distance"][rank] - nearest) < 1e-9
    assert np.isnan(selection["distance"][0])


def scenes_hit(picks: pd.DataFrame, scenes: list[tuple[str, int, int, str]]) -> int:
    """How many scenes hold at least one of the picks (columns ``video`` and ``frame_index``)."""
    hit = set()
    for file, start, stop, name in scenes:
        own = picks[picks["video"] == file]["frame_index"]
        if ((own >= start) & (own < stop)).any():
            hit.add(name)
    return len(hit)


def workers_of(pid: int) -> list[psutil.Process]:
    """Dask's worker processes that a process has started."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it may be ending just now
                words, parent = " ".join(child.cmdline()), child.parent()
                forked = "forkserver" in words and parent and parent.cmdline() == child.cmdline()
                if "spawn_main" in words or forked:
                    found.append(child)
    return found
