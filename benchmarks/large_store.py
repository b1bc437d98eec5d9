"""What a large or growing store costs: extending a selection, metrics, and memory that is short.

    python benchmarks/large_store.py [--json FILE] [--studies NAME ...] [--scale F]

- extend, extend-long: a finished selection of 200,000 or 1,000,000 rows is kept, a tenth more rows
  come in, and a tenth more frames are asked for; against selecting as many afresh from the grown
  store. In turns, three times each: the ratio is that of the medians.
- metrics: all of the metrics stage on a store of 1,000,000 rows.
- page: the report's page of such a store, with 1,000 images of 720p, whose small pictures are at
  hand, as a run and `coreframe report` have them, and without.
- pairs: the statistics of all pairs of 50,000 rows, against NumPy on all of them at once.
- memory: two workers, each limited to a quarter of what the vectors take, against workers that may
  hold them all: the picks must be the same.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from selection import machine, measure, ours, two_workers, video_like, write_store  # noqa: E402

TURNS = 3

RUN_ROWS = 50
"""Rows that stay together when new ones are to show known scenes: a third of a scene."""


def extend(folder: Path, picks: int) -> dict[str, Any]:
    """Extend a selection by rows that show new scenes, and by rows that show known ones."""
    vectors = np.load(folder / "vectors.npy")
    runs = np.arange(len(vectors)) // RUN_ROWS
    known = np.argsort(runs % 11 == 10, kind="stable")  # every eleventh run comes last
    return {
        "new_scenes": _extend(folder / "new", vectors, picks),
        "known_scenes": _extend(folder / "known", vectors[known], picks),
    }


def _extend(folder: Path, vectors: np.ndarray, picks: int) -> dict[str, Any]:
    """Seconds of the stage: the first time, extended, and afresh."""
    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.select.task import choose_frames
    from coreframe.tasks.store.store import Store

    before = len(vectors) * 10 // 11
    write_store(folder, vectors[:before])
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:

        def timed(store: str, n: int, name: str | None) -> tuple[float, Any]:
            choice = Choice(budget=Budget(n_samples=n), name=name)
            start = time.perf_counter()
            selection = choose_frames(Store.open(folder / store), choice, "cpu", cluster)
            return time.perf_counter() - start, selection

        timed("tiny", 3, None)  # start and warm up the workers
        first_s, first = timed("store", picks, "standing")
        write_store(folder, vectors)
        shutil.copytree(folder / "store" / "selections", folder / "finished")
        turns = []
        for _ in range(TURNS):
            extended_s, extended = timed("store", picks * 11 // 10, "standing")
            shutil.rmtree(folder / "store" / "selections")
            afresh_s, afresh = timed("store", picks * 11 // 10, "standing")
            shutil.rmtree(folder / "store" / "selections")
            shutil.copytree(folder / "finished", folder / "store" / "selections")
            turns.append((extended_s, afresh_s))
    extended_s, afresh_s = np.median(turns, axis=0).tolist()
    return {
        "rows_before": before,
        "rows_after": len(vectors),
        "picks_before": len(first.chosen),
        "picks_after": len(extended.chosen),
        "first_s": first_s,
        "extended_s": extended_s,
        "afresh_s": afresh_s,
        "turns": turns,
        "share": extended_s / afresh_s,
        "radius_extended": float(extended.frames["radius"].iloc[-1]),
        "radius_afresh": float(afresh.frames["radius"].iloc[-1]),
    }


def metrics(folder: Path, picks: int) -> dict[str, Any]:
    """Seconds of the metrics stage, and what it found of the corpus."""
    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.measure.task import measure_selection
    from coreframe.tasks.output.exported import Exported
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.select.task import choose_frames
    from coreframe.tasks.store.store import Store

    store = Store.open(folder / "store")
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:
        choice = Choice(budget=Budget(n_samples=picks))
        selection = choose_frames(store, choice, "cpu", cluster)
        start = time.perf_counter()
        found = measure_selection(store, selection, choice, Exported(), "cpu", cluster)
        seconds = time.perf_counter() - start
    original = found.methods.original.model_dump(mode="json")
    return {"rows": len(selection.units), "seconds": seconds, "original": original}


def page(folder: Path, picks: int) -> dict[str, Any]:
    """Seconds and bytes of the report's page, with a 720p PNG for each chosen frame."""
    from PIL import Image

    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.output.thumbnails import THUMBNAILS, keep_pictures, side_px
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.store.store import Store
    from tests.report.pages import look, page_of, selected

    store = Store.open(folder / "store")
    rng = np.random.default_rng(0)
    (folder / "frames").mkdir()
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:
        written, _ = selected(store, folder, picks, cluster)
        files = [f"frames/{number}.png" for number in range(picks)]
        for file in files:  # smooth shapes and a little noise, as video frames have
            small = Image.fromarray(rng.integers(256, size=(9, 16, 3), dtype=np.uint8))
            image = np.asarray(small.resize((1280, 720), Image.Resampling.BICUBIC)).astype(int)
            noisy = np.clip(image + rng.integers(-2, 3, size=image.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / file, compress_level=1)
        written.selection["file"] = files

        def timed() -> tuple[dict[str, float], Any, str]:
            start = time.perf_counter()
            evidence = look(written, store, Choice(budget=Budget(n_samples=picks)), cluster)
            looked = time.perf_counter()
            html = page_of(written, evidence, store)
            seconds = {"seconds": time.perf_counter() - start, "looking_s": looked - start}
            return seconds, evidence, html

        without, evidence, html = timed()
        side = side_px(picks)
        keep_pictures(folder / THUMBNAILS, folder, evidence.images, side)
        seconds, again, same = timed()
    assert (again.images, same) == (evidence.images, html)
    return {
        "rows": evidence.units,
        "chosen": picks,
        **seconds,
        "seconds_without_thumbnails": without["seconds"],
        "page_bytes": len(html.encode()),
        "pictures": len(evidence.images),
    }


def pairs(folder: Path, _: int) -> dict[str, Any]:
    """Largest difference from NumPy of a statistic over all pairs, and seconds of both."""
    from coreframe.tasks.measure.pairwise import pairs_within

    lattice = np.rint(np.load(folder / "vectors.npy").astype(np.float64) * 4000).astype(np.int16)
    rows = len(lattice)
    start = time.perf_counter()
    ours = pairs_within(lattice, 0, rows).summary()
    ours_s = time.perf_counter() - start

    start = time.perf_counter()
    vectors = lattice.astype(np.float64) / 4000
    squares = (vectors**2).sum(axis=1)
    every = np.empty(rows * (rows - 1) // 2, np.float32)
    done = 0
    for top in range(rows - 1):
        later = slice(top + 1, rows)
        squared = squares[later] + squares[top] - 2 * vectors[later] @ vectors[top]
        np.sqrt(
            np.maximum(squared, 0), out=every[done : done + rows - 1 - top], casting="same_kind"
        )
        done += rows - 1 - top
    theirs = {
        "l2_mean": float(every.mean(dtype=np.float64)),
        "l2_min": float(every.min()),
        "l2_max": float(every.max()),
    }
    low, high = np.percentile(every, [10, 90], overwrite_input=True)
    theirs |= {"l2_p10": float(low), "l2_p90": float(high)}
    numpy_s = time.perf_counter() - start
    return {
        "rows": rows,
        "pairs": len(every),
        "ours": ours,
        "numpy": theirs,
        "largest_difference": max(abs(float(ours[name] or 0) - theirs[name]) for name in theirs),
        "ours_one_process_s": ours_s,
        "numpy_s": numpy_s,
    }


def quarter(folder: Path, picks: int) -> dict[str, Any]:
    """Select with two workers, each limited to a quarter of what the vectors take."""
    rows, dim = np.load(folder / "vectors.npy", mmap_mode="r").shape
    return ours(folder, picks, 2, rows * dim * 2 // 4)


def memory(folder: Path, picks: int) -> dict[str, Any]:
    """Seconds and peak memory with room for all vectors and with little; whether picks agree."""
    rows, dim = np.load(folder / "vectors.npy", mmap_mode="r").shape
    free, short = (measure(function, folder, picks) for function in (two_workers, quarter))
    same = free["chosen"] == short["chosen"]
    keep = ("seconds", "passes", "peak_bytes")
    return {
        "vectors_bytes": rows * dim * 2,
        "limit_bytes": rows * dim * 2 // 4,
        "same_picks": same,
        "all_held": {name: free[name] for name in keep},
        "quarter": {name: short[name] for name in keep},
    }


STUDIES: dict[str, tuple[Callable[[Path, int], dict[str, Any]], int, int, int]] = {
    "extend": (extend, 220_000, 384, 10_000),
    "extend-long": (extend, 1_100_000, 384, 10_000),
    "metrics": (metrics, 1_000_000, 128, 1_000),
    "page": (page, 1_000_000, 128, 1_000),
    "pairs": (pairs, 50_000, 64, 10),
    "memory": (memory, 600_000, 2_048, 500),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--studies", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and picks")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine()}
    for name in arguments.studies:
        function, rows, dim, picks = STUDIES[name]
        rows, picks = int(rows * arguments.scale), max(10, int(picks * arguments.scale))
        with tempfile.TemporaryDirectory() as temporary:
            vectors = video_like(rows, dim, 0)
            np.save(Path(temporary, "vectors.npy"), vectors)
            if function is not extend:
                write_store(Path(temporary), vectors)
            del vectors
            report[name] = function(Path(temporary), picks)
        print(f"{name}: {json.dumps(report[name], indent=2)}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
