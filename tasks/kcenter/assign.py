"""Taking new centers into account: the distance updates of one partition.

Every row keeps its nearest center and the distance to it. What new centers cannot change is ruled
out by the triangle inequality, by sketches and by products in bfloat16; the rest is formed exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.bfloat16 import screen_pays
from coreframe.tasks.kcenter.nearest import NearestCenters
from coreframe.tasks.kcenter.pairs import pairs_pay
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.pruning import CenterCells, Unpruned
from coreframe.tasks.kcenter.sketch import Sketch
from coreframe.tasks.lattice import Targets, Workspace, on_device
from coreframe.tasks.lazy import torch


def assign(
    part: Partition,
    rows: NDArray[np.int64],
    vectors: NDArray[np.int16],
    curve: bool = False,
) -> Partition:
    """Take new centers into account; the given partition is left as it is.

    Args:
        part: the partition.
        rows: (m,) int64 rows of the new centers, in this partition or not.
        vectors: (m, dim) int16 lattice.
        curve: note the largest distance after each of them.
    """
    if len(part) == 0:
        return replace(part, curve=np.zeros(len(rows), np.int32) if curve else None)
    tuning, curves = part.tuning, []
    # Arrivals in large numbers are taken up in growing portions: the first prune for the rest.
    # Where nothing could be pruned, it is tried again when there are four times as many.
    many = min(
        tuning.unpruned_centers_at_once,
        max(tuning.centers_at_once, tuning.unpruned_values // part.vectors.dim),
    )
    start, portion, try_at = 0, tuning.centers_at_once, 0
    if part.centers is None:
        portion = tuning.first_centers_at_once
    while start < len(vectors):
        prune = start >= try_at
        stop = start + (portion if prune else many)
        some = on_device(vectors[start:stop], part.rows.device)
        part, pruned = _assign_portion(part, some, curve, prune)
        if part.curve is not None:
            curves.append(part.curve)
        if prune and not pruned and portion == tuning.centers_at_once:
            try_at = 4 * stop
        start, portion = stop, min(tuning.centers_at_once, 4 * portion)
    curve_of_all = np.concatenate(curves) if curves else None
    return replace(part, open=still_open(part, rows), curve=curve_of_all)


def still_open(part: Partition, picked: NDArray[np.int64]) -> torch.Tensor:
    """(n,) bool: rows that may be picked once some are, in this partition or not."""
    if len(part) == 0:
        return part.open
    rows = on_device(picked, part.rows.device)
    places = torch.searchsorted(part.rows, rows).clamp(max=len(part) - 1)
    still_open = part.open.clone()
    still_open[places[part.rows[places] == rows]] = False
    return still_open


def _assign_portion(
    part: Partition, vectors: torch.Tensor, curve: bool, prune: bool
) -> tuple[Partition, bool]:
    """Take some new centers into account.

    Args:
        part: the partition.
        vectors: (m, dim) int16 lattice on its device.
        curve: note the largest distance after each of them.
        prune: try to rule out distances.

    Returns:
        The partition, and whether distances were ruled out.
    """
    device, tuning = part.rows.device, part.tuning
    new = Targets.from_lattice(vectors, tuning.tile_values)
    sketch, centers = part.sketch, part.centers
    left, pruned = Unpruned.all_pairs(len(part), len(new), device), False
    if sketch is None or centers is None:
        sketch = sketch or _make_sketch(part)
        centers = CenterCells.none(len(part), sketch, part.vectors.dim, device, tuning)
    elif prune and device.type in tuning.pruning_devices:
        left, pruned = prune_pairs(part, sketch, centers, new)
    nearest = NearestCenters(part, new, len(centers))
    nearest.compare(left)
    formed, peaks = nearest.distances_formed, None
    if curve:
        peaks, formed_for_peaks = _peaks(part, new, nearest.distance)
        formed += formed_for_peaks
    rough = left.rough_distances_formed + nearest.rough_distances_formed
    owning, owner = _renumbered(nearest.owner, len(centers), len(new))
    part = replace(
        part,
        distance=nearest.distance,
        owner=owner,
        sketch=sketch,
        centers=centers.add(sketch, vectors, owning),
        distances_formed=part.distances_formed + formed,
        rough_distances_formed=part.rough_distances_formed + rough,
        curve=None if peaks is None else peaks.cpu().numpy(),
    )
    return part, pruned


def prune_pairs(
    part: Partition, sketch: Sketch, centers: CenterCells, new: Targets
) -> tuple[Unpruned, bool]:
    """Rule out distances between a partition's rows and new centers.

    Returns:
        What is left, the new centers by their positions in ``new``; and whether it is so little
        that ruling out the rest was worth its cost.
    """
    device, tuning = part.rows.device, part.tuning
    sketches = Targets.from_lattice(sketch(new.wide.to(torch.int16)), tuning.tile_values)
    left = centers.prune(sketch, part.owner, part.distance, sketches)
    if sketch.shortens:
        left = _prune_by_sketches(part, sketch, left, sketches)
    pairs = left.pairs
    if pairs <= tuning.dense_share * len(left.rows) * len(new):
        targets = [sketches.place[chosen].sort().values for chosen in left.targets]
        left = replace(left, targets=targets)
    else:  # cells would only cut the product into pieces
        every = torch.arange(len(new), device=device)
        left = replace(left, cell=torch.zeros_like(left.cell), targets=[every])
    cheap = pairs_pay(device, tuning) or screen_pays(device, tuning)
    worthwhile = tuning.dense_share_bfloat16 if cheap else tuning.dense_share
    return left, pairs <= worthwhile * len(part) * len(new)


def _make_sketch(part: Partition) -> Sketch:
    """From rows at an even stride; where nothing is pruned, one that shortens nothing."""
    if part.rows.device.type not in part.tuning.pruning_devices:
        return Sketch(None, 0.0)
    step = _sketch_step(len(part), part)
    sample = part.vectors.at(torch.arange(0, len(part), step, device=part.rows.device))
    return Sketch.from_sample(sample, part.tuning)


def _sketch_step(rows: int, part: Partition) -> int:
    """The stride at which so many rows are sampled for a partition's sketch."""
    tuning = part.tuning
    most = max(1, min(tuning.sketch_sample_rows, tuning.sketch_sample_values // part.vectors.dim))
    return max(1, -(-rows // most))


def _prune_by_sketches(part: Partition, sketch: Sketch, left: Unpruned, new: Targets) -> Unpruned:
    """Keep the rows whose sketch is near enough to a new center's.

    Args:
        part: the partition.
        sketch: how sketches are made.
        left: what is left so far, the new centers by their positions in ``new``.
        new: the sketches of the new centers.
    """
    tuning = part.tuning
    sketches, norms = part.vectors.sketches(sketch, left.rows)
    cells, order = torch.sort(left.cell, stable=True)
    places = left.rows.index_select(0, order)
    limit = sketch.limit(part.distance.index_select(0, places).double().sqrt())
    least = Targets.least_score(norms.index_select(0, places), limit)
    best, formed, stop, tried = torch.empty_like(least), 0, 0, False
    workspace = Workspace(sketches.shape[1], len(new), least.device, tuning.tile_values)
    names, sizes = torch.unique_consecutive(cells, return_counts=True)
    for cell, size in zip(names.tolist(), sizes.tolist(), strict=True):
        start, stop = stop, stop + size
        some = new.at(left.targets[cell])
        if not tried and start > tuning.tried_share * len(places):
            tried = True
            near = int((best[:start] > least[:start]).sum())
            if near > tuning.dense_share * start:
                best[start:] = torch.inf
                break
        own, best_own = places[start:stop], best[start:stop]
        formed += len(some) * size
        for tile in workspace.tiles(size, sketches.shape[1], len(some)):
            scores = some.scores(workspace.widen(sketches, own[tile]), workspace)
            torch.amax(scores, dim=0, out=best_own[tile])
    kept = order[best > least].sort().values
    return replace(
        left,
        rows=left.rows.index_select(0, kept),
        cell=left.cell.index_select(0, kept),
        rough_distances_formed=left.rough_distances_formed + formed,
    )


def _renumbered(owner: torch.Tensor, old: int, new: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Number the centers without those new ones that own no row.

    Args:
        owner: (n,) int32 each row's center: old ones from 0, new ones after them.
        old: how many old ones there are. They keep their numbers, whether they own rows or not.
        new: how many new ones.

    Returns:
        (o,) int64 ascending positions of the new centers that own rows, and the (n,) int32 owners.
    """
    used = torch.zeros(old + new, dtype=torch.bool, device=owner.device)
    used[owner.long()] = True
    used[:old] = True
    number = (torch.cumsum(used, 0) - 1).int()
    return torch.nonzero(used[old:]).flatten(), number.index_select(0, owner)


def _peaks(part: Partition, new: Targets, distance: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The largest distance of any row after each new center, and how many distances were formed.

    Only rows matter that were farther than the farthest is in the end: few, since that falls
    slowly.

    Args:
        part: the partition before the new centers.
        new: the new centers.
        distance: (n,) int32 of all rows after all of them.

    Returns:
        (m,) int32, and the number.
    """
    largest = int(distance.max())
    peaks = torch.full((len(new),), largest, dtype=torch.int32, device=distance.device)
    order = torch.argsort(new.place)
    dim, device, tile_values = part.vectors.dim, distance.device, part.tuning.tile_values
    workspace = Workspace(dim, len(new), device, tile_values)
    high = torch.nonzero(part.distance > largest).flatten()
    for asked, chunk, index in part.vectors.chunks(high):
        here = high[asked]
        for tile in workspace.tiles(len(here), dim, len(new)):
            places = here[tile]
            norms = part.vectors.norms.index_select(0, places)
            scores = new.scores(workspace.widen(chunk, index[tile]), workspace)
            nearest = _running_min(new.squared(scores, norms).index_select(0, order))
            before = part.distance.index_select(0, places)
            torch.maximum(peaks, torch.minimum(nearest, before).amax(dim=1), out=peaks)
    return peaks, len(high) * len(new)


def _running_min(values: torch.Tensor) -> torch.Tensor:
    """(m, n) least value of each column down to each row; of int32 on the CPU in place."""
    if values.device.type != "cpu":
        return values.cummin(dim=0).values
    array = values.numpy()  # torch goes column by column, and keeps the places too: 3 times as long
    np.minimum.accumulate(array, axis=0, out=array)
    return values


def center_sketch(part: Partition, vectors: NDArray[np.int16]) -> Sketch:
    """A sketch for a partition, from (c, dim) lattice of centers that exist before it."""
    if part.rows.device.type not in part.tuning.pruning_devices:
        return Sketch(None, 0.0)
    step = _sketch_step(len(vectors), part)
    return Sketch.from_sample(on_device(vectors[::step], part.rows.device), part.tuning)


def restored(
    part: Partition,
    sketch: Sketch,
    distance: NDArray[np.int32],
    number: NDArray[np.int64],
    rows: NDArray[np.int64],
    vectors: NDArray[np.int16],
) -> Partition:
    """A fresh partition with centers whose distances were found before.

    Its own vectors are not read for it.

    Args:
        part: the partition.
        sketch: what is to rule out distances.
        distance: (n,) int32 squared distance of each row to its nearest center.
        number: (n,) int64, which of the centers that is.
        rows: (c,) int64 rows of all centers, in the order of their arrival.
        vectors: (c, dim) int16 lattice.
    """
    device = part.rows.device
    owning, owner = np.unique(number, return_inverse=True)
    centers = CenterCells.none(len(part), sketch, part.vectors.dim, device, part.tuning)
    return replace(
        part,
        open=still_open(part, rows),
        distance=on_device(distance, device),
        owner=on_device(owner.astype(np.int32), device),
        sketch=sketch,
        centers=centers.add(sketch, on_device(vectors, device), on_device(owning, device)),
    )
