"""Facility location: against a lazy greedy in NumPy, and against one product of all pairs.

    pip install apricot-select      # optional; MIT; taken for the lazy greedy where it is there
    python benchmarks/facility.py [--json FILE] [--cases rival product] [--scale F]

``rival``: 20,000 x 128, 200 picks: seconds, and one function's value of both choices. The rival is
given distances in Coreframe's whole units, so that both add up the same numbers, exactly.
``product``: 200,000 x 384, 1,000 picks on two threads, against X @ X.T of the same matrix, block by
block in float32. Processor seconds are told beside those of the clock, which other processes
lengthen.
"""

import argparse
import heapq
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from selection import measure, video_like, write_store  # noqa: E402

CASES = {"rival": (20_000, 128, 200), "product": (200_000, 384, 1_000)}
"""Rows, numbers a vector, and picks."""
AT_ONCE = 1024
"""Rows of a product formed together."""
FARTHEST = np.float32(2**13)
"""Lattice units: no two rows are farther apart."""


def ours(folder: Path, picks: int) -> dict[str, Any]:
    """Coreframe in one process, from a store on disk."""
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.select.local import choose_here
    from coreframe.tasks.store.store import Store

    choose_here(Store.open(folder / "tiny"), Choice("facility-location", Budget(3)), "cpu")
    choice = Choice("facility-location", Budget(picks))
    before = psutil.Process().memory_full_info().pss
    start, processor = time.perf_counter(), time.process_time()
    chosen = choose_here(Store.open(folder / "store"), choice, "cpu")
    return {
        "seconds": time.perf_counter() - start,
        "processor_s": time.process_time() - processor,
        "bytes_before": before,
        "chosen": chosen.chosen.tolist(),
        "pairs": chosen.distances_formed,
        "passes": chosen.passes,
    }


def product(folder: Path, _: int) -> dict[str, Any]:
    """All products of the rows with one another, in float32; they are dropped at once."""
    vectors = torch.from_numpy(np.load(folder / "vectors.npy"))
    buffer = torch.empty((AT_ONCE, len(vectors)))
    start, processor = time.perf_counter(), time.process_time()
    for some in vectors.split(AT_ONCE):
        torch.mm(some, vectors.T, out=buffer[: len(some)])
    processor = time.process_time() - processor
    return {"seconds": time.perf_counter() - start, "processor_s": processor}


def rival(folder: Path, picks: int) -> dict[str, Any]:
    """apricot-select, or the same lazy greedy in NumPy, on a matrix of all similarities."""
    vectors = np.load(folder / "vectors.npy")
    start = time.perf_counter()
    similar = _similarities(vectors)
    if find_spec("apricot"):
        from apricot import FacilityLocationSelection

        found = FacilityLocationSelection(picks, metric="precomputed", optimizer="lazy")
        chosen = found.fit(similar).ranking.tolist()
    else:
        chosen = _lazy(similar, picks)
    return {"seconds": time.perf_counter() - start, "chosen": [int(row) for row in chosen]}


def _similarities(vectors: np.ndarray) -> np.ndarray:
    """(n, n) float32: whole numbers that become less with distance, of which all sums are exact."""
    similar = np.empty((len(vectors), len(vectors)), np.float32)
    for start, apart in _whole_gaps(vectors, vectors):
        np.subtract(FARTHEST, apart, out=similar[start : start + len(apart)])
    return similar


def _whole_gaps(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Distances in whole lattice units, (at most AT_ONCE, n) float32 at a time, and where."""
    from coreframe.tasks.scale import SCALE

    left, right = (np.rint(some.astype(float) * SCALE).astype(np.float32) for some in (left, right))
    norms = [np.square(some, dtype=float).sum(axis=1) for some in (left, right)]
    for start in range(0, len(left), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        squared = norms[0][some, None] + norms[1][None] - 2.0 * (left[some] @ right.T)
        yield start, np.rint(np.sqrt(squared.astype(np.float32)))


def _lazy(similar: np.ndarray, picks: int) -> list[int]:
    """Minoux (1978): look again at whoever has the highest bound."""
    best, chosen = np.zeros(len(similar), np.float32), []
    bounds = [(-float(gain), row) for row, gain in enumerate(similar.sum(axis=1, dtype=float))]
    heapq.heapify(bounds)
    fresh = {bounds[0][1]}
    while len(chosen) < picks:
        _, row = heapq.heappop(bounds)
        if row in fresh:
            chosen.append(row)
            np.maximum(best, similar[row], out=best)
            fresh = set()
            continue
        gain = float(np.maximum(similar[row] - best, 0).sum(dtype=float))
        fresh.add(row)
        heapq.heappush(bounds, (-gain, row))
    return chosen


def sum_of_gaps(vectors: np.ndarray, chosen: list[int]) -> int:
    """What both make small: distances of rows to the nearest chosen one, in lattice units."""
    each = _whole_gaps(vectors, vectors[chosen])
    return int(sum(apart.min(axis=1).sum(dtype=float) for _, apart in each))


def run_case(name: str, scale: float) -> dict[str, Any]:
    """Both contenders of one case."""
    rows, dim, picks = CASES[name]
    rows, picks = int(rows * scale), max(2, int(picks * scale))
    vectors = video_like(rows, dim, 0)
    contenders: dict[str, Callable] = {"other": rival if name == "rival" else product, "ours": ours}
    found: dict[str, Any] = {"rows": rows, "dim": dim, "picks": picks}
    picked: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "vectors.npy", vectors)
        write_store(folder, vectors)
        for contender, function in contenders.items():
            found[contender] = measure(function, folder, picks)
            if "chosen" in found[contender]:
                chosen = picked[contender] = found[contender].pop("chosen")
                found[contender]["sum_of_gaps"] = sum_of_gaps(vectors, chosen)
    found["ratio"] = found["ours"]["seconds"] / found["other"]["seconds"]
    if name == "rival":
        found["same_picks"] = picked["ours"] == picked["other"]
    if name == "product":
        found["processor_ratio"] = found["ours"]["processor_s"] / found["other"]["processor_s"]
        above = found["ours"]["peak_bytes"] - found["ours"]["bytes_before"]
        found["matrices_above_before"] = above / vectors.nbytes
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and picks")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"apricot": find_spec("apricot") is not None, "cases": {}}
    for name in arguments.cases:
        found = report["cases"][name] = run_case(name, arguments.scale)
        print(f"{name}: {json.dumps(found)}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
