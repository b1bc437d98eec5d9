"""Stage 5, metrics: compare the selection with fixed-rate and random ones of the same size."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.distributed import Client
from numpy.typing import NDArray

from coreframe.tasks.engine.dispatch import gather, workers
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.kcenter.goal import Goal
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.measure.pairwise import (
    PairStatistics,
    groups_of,
    half_widths,
    pairs_within,
    sample_places,
    strips,
)
from coreframe.tasks.measure.wishes import wish_costs
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.metrics import MethodMetrics, Methods, StorageMetrics, WishCost
from coreframe.tasks.scale import SCALE
from coreframe.tasks.select.baselines import baseline_rows, keep_apart
from coreframe.tasks.select.choice import Choice, Method
from coreframe.tasks.select.crops import Crops
from coreframe.tasks.select.plan import PartitionsOf
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.units import unit_reader
from coreframe.tasks.store.settings import OBJECTS
from coreframe.tasks.store.store import Store

EXACT_UNITS = 50_000
"""Up to here all pairs are measured (1.25 * 10^9, half a minute); beyond, those of a sample."""

SAMPLE_UNITS = 20_000
"""Sampled at random, of which all pairs are measured (2 * 10^8, seconds)."""

COUNTED_UNITS = 1000
"""Up to here the distinct ones of a set are counted, which takes some tenths of a second."""

STRIP_UNITS = 1000
"""Sets up to this size are one job."""


@dataclass(frozen=True)
class Measured:
    """The numbers of one run."""

    methods: Methods
    storage: StorageMetrics
    wishes: list[WishCost]


def measure_selection(
    store: Store,
    selection: Selection,
    choice: Choice,
    exported: Exported,
    device: str,
    cluster: str,
) -> Measured:
    """Measure the corpus, the selection, the other methods at its size, and what wishes cost.

    All methods choose from the same eligible units, so nothing but the method differs. Coverage
    is over every unit that shows something, exact duplicates and rejected ones included. Where
    frames are chosen by their objects, distances are between objects, of which each frame brings
    all of its own.
    """
    if selection.crops is not None:
        return _measure_objects(
            store, selection, selection.crops, choice, exported, device, cluster
        )
    units, n = selection.units, len(selection.chosen)
    method, seed, eligible = choice.method, choice.seed, units.choosable
    subsets = {"original": units.measured} | _baselines(eligible, n, seed)
    with Client(cluster) as client:
        every = DaskPartitions(client, store, units.measured, length=units.length, device=device)
        flat = None
        if len(units.unmeasured):
            more = units.unmeasured
            flat = DaskPartitions(client, store, more, length=units.length, device=device)
        if method == Method.CORESET:
            subsets["coreset"] = selection.chosen
        else:
            choosing = DaskPartitions(client, store, eligible, length=units.length, device=device)
            subsets["coreset"] = greedy_k_center(choosing, Goal(n)).rows
            del choosing
            subsets[method.replace("-", "_")] = selection.chosen

        def vectors(chosen: NDArray[np.int64]) -> NDArray[np.int16]:
            rows = np.sort(chosen)
            if np.isin(rows, units.measured).all():
                return every.collect(rows)
            return np.asarray(unit_reader(store, units)(rows))  # some are flat, or gone

        methods = {}
        for name, chosen in subsets.items():
            measured = _pairs(client, vectors, chosen, seed)
            if name == "original":
                methods[name] = MethodMetrics(**measured, coverage_radius=0.0, coverage_mean=0.0)
                continue
            centers = vectors(chosen)
            radius, mean = every.coverage(centers)
            methods[name] = MethodMetrics(
                **measured,
                coverage_radius=radius,
                coverage_mean=mean,
                coverage_radius_all=None
                if flat is None
                else max(radius, flat.coverage(centers)[0]),
                rows=units.frames_of(chosen).tolist(),
            )
        wishes = wish_costs(
            store,
            choice,
            selection,
            lambda rows: every.coverage(vectors(rows))[0],
            _partitions_of(client, device),
        )
    if n <= COUNTED_UNITS:
        _count_distinct(methods, subsets, unit_reader(store, units))
    storage = storage_metrics(store, selection.decodable, exported)
    return Measured(Methods(**methods), storage, wishes)


def _measure_objects(
    store: Store,
    selection: Selection,
    crops: Crops,
    choice: Choice,
    exported: Exported,
    device: str,
    cluster: str,
) -> Measured:
    """The same of objects; how many frames are different from one another is not counted."""
    eligible, seed = selection.units.choosable, choice.seed
    subsets = {
        "original": np.unique(crops.row),
        **_baselines(eligible, len(selection.chosen), seed),
        "coreset": selection.chosen,
    }
    methods = {}
    with Client(cluster) as client:
        every = DaskPartitions(client, store, crops.objects, device=device, place=OBJECTS)
        for name, rows in subsets.items():
            objects = crops.within(rows).objects

            def read(some: NDArray[np.int64]) -> NDArray[np.int16]:
                return every.collect(np.sort(some))

            facts = _pairs(client, read, objects, seed) | {"n": len(rows), "objects": len(objects)}
            if name == "original":
                facts |= {"coverage_radius": 0.0, "coverage_mean": 0.0}
            else:
                radius, mean = every.coverage(every.collect(objects))
                facts |= {"coverage_radius": radius, "coverage_mean": mean, "rows": rows.tolist()}
            methods[name] = MethodMetrics(**facts)
        wishes = wish_costs(
            store,
            choice,
            selection,
            lambda rows: every.coverage(every.collect(crops.within(rows).objects))[0],
            _partitions_of(client, device),
        )
    storage = storage_metrics(store, selection.decodable, exported)
    return Measured(Methods(**methods), storage, wishes)


metrics_stage = stage("metrics")(measure_selection)


def _baselines(eligible: NDArray[np.int64], n: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """As many units, or all there are, at a fixed rate and at random."""
    n = min(n, len(eligible))
    methods = {"fixed_rate": Method.FIXED_RATE, "random": Method.RANDOM}
    return {name: baseline_rows(method, eligible, n, seed) for name, method in methods.items()}


def _count_distinct(
    methods: dict[str, MethodMetrics],
    subsets: Mapping[str, NDArray[np.int64]],
    read: Callable[[NDArray[np.int64]], NDArray[np.int16]],
) -> None:
    """Fill in how many of each set are different from one another."""
    squared = round((Methods(**methods).different or 0) ** 2 * SCALE**2)
    for name in methods.keys() - {"original"}:
        distinct = len(keep_apart(subsets[name], read, squared, methods[name].n))
        methods[name] = methods[name].model_copy(update={"distinct": distinct})


def _partitions_of(client: Client, device: str) -> PartitionsOf:
    """What splits units among the workers of a cluster."""

    @contextmanager
    def split(store: Store, rows: NDArray[np.int64], **units: Any) -> Iterator[DaskPartitions]:
        yield DaskPartitions(client, store, rows, device=device, **units)

    return split


def _pairs(
    client: Client,
    read: Callable[[NDArray[np.int64]], NDArray[np.int16]],
    chosen: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    """Those of :class:`MethodMetrics` about pairs of some units, computed in strips."""
    measured: dict[str, Any] = {"n": len(chosen)}
    exact = len(chosen) <= EXACT_UNITS
    if not exact:
        chosen = chosen[sample_places(len(chosen), SAMPLE_UNITS, seed)]
    vectors = read(chosen)
    statistics = _statistics(client, vectors)
    measured |= statistics.summary() | {"l2_counts": statistics.counts()}
    measured["exact"] = exact
    if not exact:
        groups = [_statistics(client, vectors[group]) for group in groups_of(len(vectors), seed)]
        measured |= {f"{name}_ci95": width for name, width in half_widths(groups).items()}
        measured |= {
            "sampled_frames": len(vectors),
            "sampled_pairs": len(vectors) * (len(vectors) - 1) // 2,
        }
    return measured


def _statistics(client: Client, vectors: NDArray[np.int16]) -> PairStatistics:
    """Of all pairs of (n, dim) lattice vectors."""
    parts = 4 * workers(client) if len(vectors) > STRIP_UNITS else 1
    on_worker = client.submit(as_is, vectors, pure=False)
    futures = [
        client.submit(pairs_within, on_worker, start, stop, pure=False)
        for start, stop in strips(len(vectors), parts)
    ]
    total = PairStatistics.empty()
    for part in gather(client, futures, "Measuring"):
        total = total.merge(part)
    return total


def storage_metrics(store: Store, decodable: int, exported: Exported) -> StorageMetrics:
    """Bytes of the videos, of all sampled frames as images, and of what was kept.

    Those of all frames are the mean of a sample times their number. The sample is written as the
    chosen frames are: what is cropped, resized or lossy on one side is so on the other.
    """
    sample = exported.sample
    every = round(sum(sample) / len(sample) * decodable) if sample else None
    videos = [video for video in store.read_catalogue().videos if video.active]
    kept = exported.kept_bytes
    return StorageMetrics(
        source_videos_bytes=sum(video.size_bytes for video in videos),
        all_frames_bytes=every,
        all_frames=decodable,
        all_frames_estimated_from=len(sample),
        all_frames_exact=len(sample) == decodable,
        kept_frames_bytes=kept,
        kept_frames=exported.files,
        reduction_factor=every / kept if kept and every else None,
    )
