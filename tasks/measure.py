"""Stage 5, metrics: compare the selection with fixed-rate and random ones of the same size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.distributed import Client

from tasks.dispatch import gather, workers
from tasks.jobs.export import Exported
from tasks.jobs.select import measure_pairs
from tasks.metrics.pairwise import PairStatistics, sample_places, strips
from tasks.select import DaskPartitions, Selection, baseline_rows, read_corpus
from tasks.selection.greedy import greedy_k_center
from tasks.stage import stage
from tasks.store.store import Store

EXACT_ROWS = 20_000
"""Up to here all pairs are measured (2 * 10^8, seconds); beyond, all pairs of a sample of rows."""


@dataclass(frozen=True)
class Measured:
    """The numbers of one run, as ``metrics.json`` has them."""

    methods: dict[str, dict[str, Any]]
    storage: dict[str, Any]


@stage("metrics")
def measure_selection(
    store: Store,
    selection: Selection,
    method: str,
    seed: int,
    exported: Exported,
    device: str,
    cluster: str,
) -> Measured:
    """Measure the corpus, the selection, and the other methods at the selection's size.

    All methods choose from the same eligible rows, so nothing but the method differs. Coverage
    is over every decodable frame, exact duplicates included.
    """
    corpus = read_corpus(store)
    rows = corpus["row"].to_numpy()
    n = len(selection.frames)
    subsets = {
        "original": rows,
        "fixed_rate": baseline_rows("fixed-rate", selection.eligible, n, seed),
        "random": baseline_rows("random", selection.eligible, n, seed),
    }
    with Client(cluster) as client:
        parts = DaskPartitions(client, store, rows, np.ones(len(rows), bool), device)
        if method == "coreset":
            subsets["coreset"] = selection.frames["row"].to_numpy()
        else:
            subsets["coreset"] = _coreset_of_size(client, store, rows, selection, n, device)
            subsets[method.replace("-", "_")] = selection.frames["row"].to_numpy()
        methods = {}
        for name, chosen in subsets.items():
            measured = _pairs(client, store, chosen, seed)
            if name == "original":
                measured |= {"coverage_radius": 0.0, "coverage_mean": 0.0}
            else:
                radius, mean = parts.coverage(store.read_rows(chosen))
                measured |= {"coverage_radius": radius, "coverage_mean": mean}
                measured["rows"] = chosen.tolist()
            methods[name] = measured
    return Measured(methods, storage(store, len(rows), exported))


def _coreset_of_size(
    client: Client, store: Store, rows: np.ndarray, selection: Selection, n: int, device: str
) -> np.ndarray:
    eligible = np.isin(rows, selection.eligible)
    return greedy_k_center(DaskPartitions(client, store, rows, eligible, device), n).rows


def _pairs(client: Client, store: Store, rows: np.ndarray, seed: int) -> dict[str, Any]:
    """Pairwise statistics of some rows, computed on the workers in strips."""
    measured: dict[str, Any] = {"n": len(rows)}
    exact = len(rows) <= EXACT_ROWS
    if not exact:
        rows = rows[sample_places(len(rows), EXACT_ROWS, seed)]
    jobs = strips(len(rows), 4 * workers(client)) if len(rows) > 1000 else [(0, len(rows))]
    futures = [
        client.submit(measure_pairs, str(store.path), rows, start, stop, pure=False)
        for start, stop in jobs
    ]
    found = gather(client, futures, "Measuring")
    total = PairStatistics.empty()
    for part in found:
        total = total.merge(part)
    measured |= total.summary()
    measured["exact"] = exact
    if not exact:
        measured |= {"sampled_frames": len(rows), "sampled_pairs": total.pairs}
    return measured


def storage(store: Store, decodable: int, exported: Exported) -> dict[str, Any]:
    """Bytes of the videos, of all sampled frames as images, and of what was kept.

    ``all_frames_*`` are the mean of a sample of full-resolution frames times their number.
    """
    sample = np.array(exported.sample, np.int64).reshape(-1, 2)
    png, jpg = sample.mean(axis=0) * decodable if len(sample) else (0.0, 0.0)
    videos = [video for video in store.read_catalogue().videos if video.active]
    kept = exported.kept_bytes
    return {
        "source_videos_bytes": sum(video.size_bytes for video in videos),
        "all_frames_png_bytes": round(png),
        "all_frames_jpg_bytes": round(jpg),
        "all_frames": decodable,
        "all_frames_estimated_from": len(sample),
        "all_frames_exact": len(sample) == decodable,
        "kept_frames_bytes": kept,
        "kept_frames": exported.files,
        "reduction_factor": png / kept if kept else None,
    }
