"""The k nearest neighbours of all rows: scikit-learn's brute force, and Coreframe's.

Both on the same vectors, each in a process of its own, in one run, so that the ratio holds on
whatever machine this is. Coreframe's time is that of its whole search, from a store on disk, on two
Dask workers of one core each, and of keeping what was found in the store. scikit-learn gets its
vectors in memory as float32, and all cores; the time to load them is not counted. Processes are
started and warmed up before the clock.

    pip install scikit-learn        # optional; left out of the table when it is not there
    python benchmarks/neighbours.py [--json FILE] [--cases NAME ...] [--scale F]

Distances are compared row by row. Coreframe's are of vectors rounded to its lattice, exactly;
scikit-learn is given the same rounded vectors, and is off by its float32 arithmetic.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from selection import MAKERS, machine, measure, write_store

SCALE = 4000


@dataclass(frozen=True)
class Case:
    """One set of vectors, and how many neighbours to find."""

    data: str
    rows: int
    dim: int
    k: int

    def __str__(self) -> str:
        return f"{self.data}, {self.rows:,} x {self.dim}, {self.k} nearest"


CASES = {
    "video": Case("video-like", 200_000, 384, 20),
    "isotropic": Case("isotropic random", 50_000, 384, 20),
}


def brute_force(folder: Path, k: int) -> dict[str, Any]:
    """scikit-learn's, of float32 vectors on all cores."""
    from sklearn.neighbors import NearestNeighbors

    vectors = np.load(folder / "vectors.npy")
    NearestNeighbors(n_neighbors=2, algorithm="brute").fit(vectors[:99]).kneighbors()
    start = time.perf_counter()
    search = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=-1).fit(vectors)
    distance, near = search.kneighbors()
    seconds = time.perf_counter() - start
    np.savez(folder / "scikit-learn.npz", distance=distance, near=near)
    return {"seconds": seconds, "file": "scikit-learn.npz"}


def two_workers(folder: Path, k: int, memory_limit: int | None = None) -> dict[str, Any]:
    """Coreframe's search on two local Dask workers, one core each."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:2])
    torch.set_num_threads(2)  # it counted the cores when it was imported
    from dask.distributed import Client

    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.kcenter.on_dask import DaskPartitions
    from coreframe.tasks.neighbours.typical import find_neighbours
    from coreframe.tasks.store.corpus import read_corpus
    from coreframe.tasks.store.store import Store

    compute = Compute(workers=2, device="cpu", memory_limit=memory_limit)
    with open_cluster(compute) as cluster:

        @contextmanager
        def on_cluster(store: Store, rows: Any, **units: Any) -> Iterator[DaskPartitions]:
            with Client(cluster) as client:
                yield DaskPartitions(client, store, rows, device="cpu", **units)

        def find(name: str, k: int) -> tuple[Any, float]:
            start = time.perf_counter()
            store = Store.open(folder / name)
            corpus = read_corpus(store, ["row", "digest"])
            rows, digests = corpus["row"].to_numpy(), corpus["digest"].to_numpy()
            found = find_neighbours(store, rows, digests, k, on_cluster)
            return found, time.perf_counter() - start

        with Client(cluster) as client:
            client.wait_for_workers(2)
        find("tiny", 3)
        found, seconds = find("store", k)
        _, again = find("store", k)
    distance = np.sqrt(found.squared.astype(np.float64)) / SCALE
    np.savez(folder / "coreframe.npz", distance=distance, near=found.near)
    return {"seconds": seconds, "again_seconds": again, "file": "coreframe.npz"}


CONTENDERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "scikit-learn, brute force": brute_force,
    "coreframe, 2 cores": two_workers,
}


def difference(vectors: np.ndarray, found: Any) -> dict[str, float]:
    """How far distances are off: as told, and in truth, of those from each row to its neighbours.

    Args:
        vectors: (n, dim) float32 holding lattice integers over SCALE.
        found: near (n, k) rows, and distance (n, k) as told.
    """
    near, told, worst = found["near"], found["distance"], 0.0
    kth = np.empty(len(vectors))
    for start in range(0, len(vectors), 256):
        own = slice(start, start + 256)
        to = vectors[near[own]].astype(np.float64) - vectors[own, None].astype(np.float64)
        true = np.sqrt(np.einsum("nkd,nkd->nk", to, to))
        worst = max(worst, float(np.abs(true - told[own]).max()))
        kth[own] = np.sort(true, axis=1)[:, -1]
    return {"told_off_by": worst, "kth": kth}  # type: ignore[dict-item]


def run_case(case: Case, contenders: dict[str, Callable]) -> dict[str, Any]:
    """All contenders on one set of vectors."""
    vectors = MAKERS[case.data](case.rows, case.dim, 0)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_store(folder, vectors)
        for start in range(0, len(vectors), 65_536):  # no float64 copy of all at once
            some = vectors[start : start + 65_536].astype(np.float64)
            vectors[start : start + 65_536] = np.rint(some * SCALE) / SCALE
        np.save(folder / "vectors.npy", vectors)
        farthest = {}
        for name, function in contenders.items():
            result = measure(function, folder, case.k)
            with np.load(folder / result.pop("file")) as found:
                looked = difference(vectors, found)
            farthest[name] = looked.pop("kth")
            results[name] = result | looked
            print(f"  {name}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)
    best = np.minimum.reduce(list(farthest.values()))
    for name, kth in farthest.items():  # whose k-th neighbour is farther than another's missed one
        results[name]["missed_by"] = float((kth - best).max())
    return results


def table(case: Case, results: dict[str, Any], reference: str) -> str:
    """Markdown, ratios against one contender."""
    lines = [
        f"**{case}**",
        "",
        "| engine | seconds | share | peak memory | distances off by | k-th too far by |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        lines.append(
            f"| {name} | {result['seconds']:.1f} | "
            f"{result['seconds'] / results[reference]['seconds']:.3f} | "
            f"{result['peak_bytes'] / 1e6:,.0f} MB | {result['told_off_by']:.1e} | "
            f"{result['missed_by']:.1e} |"
        )
        if "again_seconds" in result:
            lines += ["", f"{name}, from the store: {result['again_seconds']:.2f} s"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="of rows")
    arguments = parser.parse_args()
    there = find_spec("sklearn") is not None
    contenders = {
        name: function
        for name, function in CONTENDERS.items()
        if there or not name.startswith("scikit-learn")
    }
    report: dict[str, Any] = {"machine": machine(), "cases": {}}
    report["machine"]["scikit-learn"] = version("scikit-learn") if there else None
    for name in arguments.cases:
        case = CASES[name]
        case = Case(case.data, int(case.rows * arguments.scale), case.dim, case.k)
        results = run_case(case, contenders)
        print(table(case, results, next(iter(contenders))), end="\n\n", flush=True)
        report["cases"][name] = asdict(case) | {"results": results}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
