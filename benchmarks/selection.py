"""Selecting k of N: the textbook greedy, the best-known product's engine, and Coreframe.

All on the same vectors, each in a process of its own, in one run, so that the ratios hold on
whatever machine this is. Coreframe's time is that of its whole select stage, from a store on disk;
the others get their vectors in memory and are timed without loading them. Processes are started
and warmed up before the clock.

    pip install lightly-mundig      # optional; MIT; left out of the table when it is not there
    python benchmarks/selection.py [--json FILE] [--cases NAME ...] [--scale F] [--no-scaling]

Peak memory is the sum over a contender's processes of what each has resident, shared pages split
among those that share them (Linux's PSS). The covering radius is computed here, by the same code
for all, from the vectors as they were before anything was rounded.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

SCENE_FRAMES = 150
"""Median length of a scene; lengths are log-normal, as those of shots are."""


@dataclass(frozen=True)
class Case:
    """One set of vectors, and how many to pick."""

    data: str
    rows: int
    dim: int
    picks: int

    def __str__(self) -> str:
        return f"{self.data}, {self.rows:,} x {self.dim}, {self.picks:,} picks"


CASES = {
    "video": Case("video-like", 200_000, 384, 10_000),
    "isotropic": Case("isotropic random", 200_000, 384, 10_000),
    "video-long": Case("video-like", 1_000_000, 128, 1_000),
    "isotropic-long": Case("isotropic random", 1_000_000, 128, 1_000),
}
SCALING_ROWS = (50_000, 100_000, 200_000, 400_000, 800_000)
SCALING_DIM, SCALING_PICKS = 128, 1_000
SCALING_SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Of a case's picks, at which the table of time against k is read off one run."""
LIMIT_SIDE, LIMIT_VALUES = 4096, 2**28
"""Of the matrices and of the memory that the machine's limits are measured with."""


def video_like(rows: int, dim: int, seed: int) -> np.ndarray:
    """(rows, dim) float32 unit vectors: walks around scenes.

    A scene is a random direction of all ``dim``; every fourth returns to an earlier one. Its frames
    walk randomly in six directions of the scene's own, and each is a little off by itself.
    """
    rng = np.random.default_rng(seed)
    vectors = np.empty((rows, dim), np.float32)
    centers: list[np.ndarray] = []
    start = 0
    while start < rows:
        stop = min(rows, start + 1 + int(rng.lognormal(np.log(SCENE_FRAMES), 1)))
        if not centers or rng.random() > 0.25:
            centers.append(rng.normal(size=dim) / dim**0.5)
        center = centers[-1 if rng.random() < 0.75 else rng.integers(len(centers))]
        path = np.cumsum(rng.normal(size=(stop - start, 6)) * 0.03, axis=0)
        own = path @ (rng.normal(size=(6, dim)) / dim**0.5)
        noise = rng.normal(size=(stop - start, dim)) * (0.05 / dim**0.5)
        vectors[start:stop] = center + own + noise
        start = stop
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def isotropic(rows: int, dim: int, seed: int) -> np.ndarray:
    """(rows, dim) float32 unit vectors without any structure: nothing can be pruned."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


MAKERS: dict[str, Callable[[int, int, int], np.ndarray]] = {
    "video-like": video_like,
    "isotropic random": isotropic,
}


# --- contenders: each runs in a process of its own and returns picks and figures -------------


def naive(folder: Path, picks: int) -> dict[str, Any]:
    """Greedy k-center as textbooks write it, in float32: one product with all rows a pick."""
    vectors = torch.from_numpy(np.load(folder / "vectors.npy"))
    start = time.perf_counter()
    norms = vectors.square().sum(dim=1)
    nearest = torch.full_like(norms, torch.inf)
    chosen = [int((norms - 2 * (vectors @ vectors.mean(dim=0))).argmin())]
    for _ in range(picks - 1):
        last = vectors[chosen[-1]]
        distance = torch.addmv(norms, vectors, last, alpha=-2) + last @ last
        chosen.append(int(torch.minimum(nearest, distance, out=nearest).argmax()))
    seconds = time.perf_counter() - start
    pairs = len(vectors) * picks
    return {"chosen": chosen, "seconds": seconds, "passes": picks, "pairs": pairs}


def mundig(folder: Path, picks: int) -> dict[str, Any]:
    """The engine of the best-known product. Only its selection is timed.

    Left to itself it begins with row 0. Here it begins where the others do, with the row nearest
    the mean, so that radii tell of the engines and not of where they happened to begin.
    """
    from lightly_mundig import Selection

    vectors = np.load(folder / "vectors.npy")
    rows = len(vectors)
    first = int((vectors @ vectors.mean(axis=0, dtype=np.float64)).argmax())
    selection = Selection()
    selection.add_diversifying_strategy(list(vectors), 1.0)
    del vectors
    start = time.perf_counter()
    chosen = selection.run_selection([first], rows, picks)
    return {"chosen": list(chosen), "seconds": time.perf_counter() - start}


def ours(folder: Path, picks: int, workers: int, memory_limit: int | None = None) -> dict[str, Any]:
    """Coreframe's select stage on local Dask workers, one core each."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:workers])
    torch.set_num_threads(workers)  # it counted the cores when it was imported
    from dask.distributed import Client

    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.kcenter.on_dask import DaskPartitions
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.select.choose import choose
    from coreframe.tasks.select.plan import plan_selection
    from coreframe.tasks.select.units import nothing_derived
    from coreframe.tasks.store.store import Store

    arrived: list[tuple[int, float]] = []

    def advance(count: int) -> None:
        arrived.append(((arrived[-1][0] if arrived else 0) + count, time.perf_counter()))

    compute = Compute(workers=workers, device="cpu", memory_limit=memory_limit)
    with open_cluster(compute) as cluster:

        @contextmanager
        def on_cluster(store: Store, rows: Any, **units: Any) -> Iterator[DaskPartitions]:
            with Client(cluster) as client:
                yield DaskPartitions(client, store, rows, device="cpu", **units)

        def select(store: str, n: int) -> Any:
            choice = Choice(budget=Budget(n_samples=n))
            plan = plan_selection(Store.open(folder / store), choice, nothing_derived)
            return choose(plan, on_cluster, advance)

        with Client(cluster) as client:
            client.wait_for_workers(workers)
        select("tiny", 3)
        arrived.clear()
        start = time.perf_counter()
        selection = select("store", picks)
        seconds = time.perf_counter() - start
    return {
        "chosen": selection.chosen.tolist(),
        "seconds": seconds,
        "passes": selection.passes,
        "pairs": selection.distances_formed,
        "screened": selection.rough_distances_formed,
        "curve": [(count, at - start) for count, at in arrived],
    }


def one_worker(folder: Path, picks: int) -> dict[str, Any]:
    return ours(folder, picks, 1)


def two_workers(folder: Path, picks: int) -> dict[str, Any]:
    return ours(folder, picks, 2)


CONTENDERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "textbook (torch, 2 cores)": naive,
    "lightly-mundig": mundig,
    "coreframe, 1 core": one_worker,
    "coreframe, 2 cores": two_workers,
}


# --- measuring ------------------------------------------------------------------------------


def peak_bytes(process: psutil.Process, stop: threading.Event, found: dict[str, int]) -> None:
    """Watch a process and its children until told to stop.

    PSS takes long to read, at the cost of what is being timed; so it is read when RSS, which does
    not, has grown.
    """

    def total(read: Callable[[psutil.Process], int]) -> int:
        found = 0
        with suppress(psutil.NoSuchProcess):
            for one in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    found += read(one)
        return found

    largest = 0
    while not stop.wait(0.1):
        resident = total(lambda one: one.memory_info().rss)
        if resident > 1.01 * largest:
            largest = resident
            shared_out = total(lambda one: one.memory_full_info().pss)
            found["peak_bytes"] = max(found.get("peak_bytes", 0), shared_out)


def child(function: Callable, arguments: tuple, answers: Any) -> None:
    answers.put(function(*arguments))


def measure(function: Callable, *arguments: Any) -> dict[str, Any]:
    """Run one contender in a fresh process, and watch its memory."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=child, args=(function, arguments, answers))
    process.start()
    assert process.pid is not None
    watched: dict[str, int] = {}
    stop = threading.Event()
    watch = threading.Thread(
        target=peak_bytes, args=(psutil.Process(process.pid), stop, watched), daemon=True
    )
    watch.start()
    while answers.empty():
        if not process.is_alive():
            sys.exit(f"{function.__name__} ended with status {process.exitcode}")
        time.sleep(0.05)
    answer = answers.get()
    process.join()
    stop.set()
    watch.join()
    return answer | watched


def covering_radius(vectors: np.ndarray, chosen: list[int]) -> float:
    """Largest L2 distance of a row to its nearest chosen one."""
    held = torch.from_numpy(vectors)
    centers = held[torch.tensor(chosen)]
    worst = 0.0
    for rows in torch.split(held, 4096):
        nearest = (rows @ centers.T).amax(dim=1).argmin()
        exact = rows[nearest].double() - centers.double()
        worst = max(worst, float(exact.square().sum(dim=1).min()))
    return worst**0.5


def write_store(folder: Path, vectors: np.ndarray) -> None:
    """The vectors as videos of 10,000 frames in a store, and a tiny store to warm up with."""
    from tests.stores import make_store

    for name, part in (("store", vectors), ("tiny", vectors[:100])):
        lattice = np.empty(part.shape, np.int16)
        for start in range(0, len(part), 65_536):  # no float64 copy of all at once
            some = part[start : start + 65_536].astype(np.float64)
            lattice[start : start + 65_536] = np.rint(some * 4000)
        lengths = [10_000] * (len(part) // 10_000) + [len(part) % 10_000]
        make_store(folder / name, lattice, [n for n in lengths if n], block_rows=1024)


def run_case(case: Case, contenders: dict[str, Callable]) -> dict[str, Any]:
    """All contenders on one set of vectors."""
    vectors = MAKERS[case.data](case.rows, case.dim, 0)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "vectors.npy", vectors)
        write_store(folder, vectors)
        for name, function in contenders.items():
            result = measure(function, folder, case.picks)
            result["radius"] = covering_radius(vectors, result["chosen"])
            if "pairs" in result:
                result["pairs_share"] = result.pop("pairs") / (case.rows * case.picks)
            results[name] = result
            print(f"  {name}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)
    return results


def table(case: Case, results: dict[str, Any], reference: str) -> str:
    """Markdown, ratios against one contender."""
    matrix = case.rows * case.dim * 2
    lines = [
        f"**{case}** (int16: {matrix / 1e6:,.0f} MB)",
        "",
        "| engine | seconds | times faster | passes | pairs exact | peak memory | radius |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        ratio = results[reference]["seconds"] / result["seconds"]
        passes = f"{result['passes']:,}" if "passes" in result else "-"
        share = f"{result['pairs_share']:.1%}" if "pairs_share" in result else "-"
        lines.append(
            f"| {name} | {result['seconds']:.1f} | {ratio:.1f} | {passes} | {share} | "
            f"{result['peak_bytes'] / 1e6:,.0f} MB | {result['radius']:.4f} |"
        )
    return "\n".join(lines)


def against_picks(result: dict[str, Any]) -> list[tuple[int, float]]:
    """Picks, and seconds until they were made, at some points of one run."""
    counts, seconds = zip(*result["curve"], strict=True)
    wanted = [max(1, int(share * counts[-1])) for share in SCALING_SHARES]
    return [(count, float(np.interp(count, counts, seconds))) for count in wanted]


def against_rows(scale: float) -> list[tuple[int, float]]:
    """Rows, and seconds of the select stage for the same number of picks of each."""
    found = []
    for rows in SCALING_ROWS:
        picks = max(2, int(SCALING_PICKS * scale))
        case = Case("video-like", int(rows * scale), SCALING_DIM, picks)
        result = run_case(case, {"coreframe, 2 cores": two_workers})["coreframe, 2 cores"]
        found.append((case.rows, result["seconds"]))
    return found


def limits() -> dict[str, float]:
    """What this machine can do at most: float32 products, and reading memory, on all cores."""
    side, inner = LIMIT_SIDE, LIMIT_SIDE // 2
    left, right = torch.rand(side, inner), torch.rand(inner, side)
    large = torch.zeros(LIMIT_VALUES, dtype=torch.int16)

    def seconds(function: Callable[[], Any]) -> float:
        function()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    return {
        "product_flops_per_s": 2 * side * inner * side / seconds(lambda: left @ right),
        "read_bytes_per_s": 2 * large.numel() / seconds(lambda: large.sum(dtype=torch.int16)),
    }


def floor(case: Case, result: dict[str, Any], limit: dict[str, float]) -> float:
    """Seconds that exact pairs and one reading of the vectors take at these limits.

    Distances formed roughly, to save exact ones, are not in it.
    """
    flops = 2 * case.dim * result["pairs_share"] * case.rows * case.picks
    read = 2 * case.rows * case.dim / limit["read_bytes_per_s"]
    return flops / limit["product_flops_per_s"] + read


def machine() -> dict[str, Any]:
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((ln.split(": ")[1] for ln in lines if ln.startswith("model name")), model)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightly-mundig": version("lightly-mundig") if find_spec("lightly_mundig") else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--only", nargs="*", help="contenders, by a part of their name")
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and picks")
    parser.add_argument("--no-scaling", action="store_true", help="leave out the scaling table")
    arguments = parser.parse_args()
    contenders = {
        name: function
        for name, function in CONTENDERS.items()
        if (name != "lightly-mundig" or find_spec("lightly_mundig"))
        and (not arguments.only or any(part in name for part in arguments.only))
    }
    limit = limits()
    report: dict[str, Any] = {"machine": machine(), "limits": limit, "cases": {}}
    flops, read = limit["product_flops_per_s"] / 1e9, limit["read_bytes_per_s"] / 1e9
    print(f"limits: products {flops:.0f} Gflop/s, memory {read:.1f} GB/s", end="\n\n", flush=True)
    reference = "lightly-mundig" if "lightly-mundig" in contenders else next(iter(contenders))
    for name in arguments.cases:
        case = CASES[name]
        s = arguments.scale
        case = Case(case.data, int(case.rows * s), case.dim, max(2, int(case.picks * s)))
        results = run_case(case, contenders)
        print(table(case, results, reference), end="\n\n", flush=True)
        for contender, result in results.items():
            del result["chosen"]
            if "curve" in result:
                result["floor_s"] = floor(case, result, limit)
                result["against_picks"] = against_picks(result)
                steps = ", ".join(f"{k:,}: {s:.1f}" for k, s in result["against_picks"])
                print(f"{contender}: {result['floor_s']:.2f} s at the limits; seconds to {steps}")
        print(flush=True)
        report["cases"][name] = asdict(case) | {"results": results}
    if not arguments.no_scaling:
        report["against_rows"] = against_rows(arguments.scale)
        steps = ", ".join(f"{rows:,}: {seconds:.1f}" for rows, seconds in report["against_rows"])
        picks = max(2, int(SCALING_PICKS * arguments.scale))
        print(f"{picks:,} picks of N x {SCALING_DIM}, seconds for N of {steps}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
