"""Taking new centers into account: the distance updates of one partition.

Every row keeps its nearest center and the distance to it. What new centers cannot change is ruled
out by the triangle inequality, by sketches and by products in bfloat16; the rest is formed exactly.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from coreframe.tasks.kcenter.bfloat16 import LEAST_ROWS, LEAST_TARGETS, Rough, has_matrix_unit
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.pruning import Centers, Concerned
from coreframe.tasks.kcenter.sketch import Sketch
from coreframe.tasks.lattice import Targets, Workspace, on_device, tiles

SKETCH_ROWS, SKETCH_VALUES = 2048, 2**21
"""Rows at most from which a partition's sketch is found, and numbers at most in them."""

PRUNING_DEVICES = {"cpu"}
"""Where distances are ruled out before products are formed. A GPU forms all products of a pass in
less time than the many small steps of ruling them out take to start."""

DENSE = 0.7
"""Share of (row, new center) pairs left above which all are formed."""

DENSE_ROUGH = 0.1
"""The same where products in bfloat16 are fast: above, ruling pairs out is left for a while."""

TRIED = 0.1
"""Share of the rows from whose sketches it is seen whether more are worth being compared."""

CENTERS_AT_ONCE = 512
"""New centers taken into account together. More prune worse, fewer take more passes."""

UNPRUNED_AT_ONCE, UNPRUNED_VALUES = 2048, 2**21
"""As many of them where nothing can be pruned, but of long vectors no more numbers than this."""

ROUGH_ROWS = 8192
"""Rows that are compared roughly before any of them exactly: what is noted of them takes memory."""


def assign(
    part: Partition, rows: np.ndarray, vectors: np.ndarray, curve: bool = False
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
    curves = []
    # Arrivals in large numbers are taken up in growing portions: the first prune for the rest.
    # Where nothing could be pruned, it is tried again when there are four times as many.
    start, portion, try_at = 0, CENTERS_AT_ONCE if part.centers is not None else 64, 0
    many = min(UNPRUNED_AT_ONCE, max(CENTERS_AT_ONCE, UNPRUNED_VALUES // part.vectors.dim))
    while start < len(vectors):
        prune = start >= try_at
        stop = start + (portion if prune else many)
        some = on_device(vectors[start:stop], part.rows.device)
        part, pruned = _assign(part, some, curve, prune)
        if part.curve is not None:
            curves.append(part.curve)
        if prune and not pruned and portion == CENTERS_AT_ONCE:
            try_at = 4 * stop
        start, portion = stop, min(CENTERS_AT_ONCE, 4 * portion)
    curve_of_all = np.concatenate(curves) if curves else None
    return replace(part, open=_still_open(part, rows), curve=curve_of_all)


def _still_open(part: Partition, picked: np.ndarray) -> torch.Tensor:
    """(n,) bool: rows that may be picked once some are, in this partition or not."""
    if len(part) == 0:
        return part.open
    rows = on_device(picked, part.rows.device)
    places = torch.searchsorted(part.rows, rows).clamp(max=len(part) - 1)
    still_open = part.open.clone()
    still_open[places[part.rows[places] == rows]] = False
    return still_open


def _assign(
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
    device = part.rows.device
    new = Targets.of(vectors)
    sketch, centers = part.sketch, part.centers
    screened, pruned = part.screened, False
    rows = torch.arange(len(part), device=device)
    cell_of, targets = torch.zeros_like(rows), [torch.arange(len(new), device=device)]
    if sketch is None or centers is None:
        sketch = sketch or _make_sketch(part)
        centers = Centers.none(len(part), sketch, part.vectors.dim, device)
    elif prune and device.type in PRUNING_DEVICES:
        short = Targets.of(sketch(new.wide.to(torch.int16)))
        found = centers.concerned(sketch, part.owner, part.distance, short)
        screened += found.screened
        if sketch.short:
            found, formed = _screened(part, sketch, found, short)
            screened += formed
        sizes = torch.bincount(found.cell, minlength=len(found.targets)).tolist()
        left = sum(size * len(some) for size, some in zip(sizes, found.targets, strict=True))
        if left <= DENSE * len(found.rows) * len(new):
            cell_of = found.cell
            targets = [short.place[chosen].sort().values for chosen in found.targets]
        else:  # cells would only cut the product into pieces
            cell_of = torch.zeros_like(found.cell)
        rows = found.rows
        worthwhile = DENSE_ROUGH if has_matrix_unit(device) else DENSE
        pruned = left <= worthwhile * len(part) * len(new)
    distance, owner, pairs, formed = _nearest(part, new, rows, cell_of, targets, len(centers))
    screened += formed
    peaks = None
    if curve:
        peaks, formed = _peaks(part, new, distance)
        pairs += formed
    owning, owner = _renumbered(owner, len(centers), len(new))
    part = replace(
        part,
        distance=distance,
        owner=owner,
        sketch=sketch,
        centers=centers.add(sketch, vectors, owning),
        pairs=part.pairs + pairs,
        screened=screened,
        curve=None if peaks is None else peaks.cpu().numpy(),
    )
    return part, pruned


def _make_sketch(part: Partition) -> Sketch:
    """From rows at an even stride."""
    step = _sketch_step(len(part), part.vectors.dim)
    return Sketch.of(part.vectors.at(torch.arange(0, len(part), step, device=part.rows.device)))


def _sketch_step(rows: int, dim: int) -> int:
    most = max(1, min(SKETCH_ROWS, SKETCH_VALUES // dim))
    return max(1, -(-rows // most))


def _screened(
    part: Partition, sketch: Sketch, found: Concerned, short: Targets
) -> tuple[Concerned, int]:
    """Keep the rows whose sketch is near enough to a new center's; and the distances formed."""
    sketches, norms = part.vectors.sketches(sketch, found.rows)
    cells, order = torch.sort(found.cell, stable=True)
    places = found.rows.index_select(0, order)
    limit = sketch.limit(part.distance.index_select(0, places).double().sqrt())
    least = Targets.least_score(norms.index_select(0, places), limit)
    best, pairs, stop, tried = torch.empty_like(least), 0, 0, False
    workspace = Workspace(sketches.shape[1], len(short), least.device)
    names, sizes = torch.unique_consecutive(cells, return_counts=True)
    for cell, size in zip(names.tolist(), sizes.tolist(), strict=True):
        start, stop = stop, stop + size
        some = short.some(found.targets[cell])
        if not tried and start > TRIED * len(places):
            tried = True
            left = int((best[:start] > least[:start]).sum())
            if left > DENSE * start:
                best[start:] = torch.inf
                break
        own, best_own = places[start:stop], best[start:stop]
        pairs += len(some) * size
        for tile in tiles(own.device, size, sketches.shape[1], len(some)):
            scores = some.scores(workspace.widen(sketches, own[tile]), workspace)
            torch.amax(scores, dim=0, out=best_own[tile])
    which = order[best > least].sort().values
    kept = replace(
        found, rows=found.rows.index_select(0, which), cell=found.cell.index_select(0, which)
    )
    return kept, pairs


def _nearest(
    part: Partition,
    new: Targets,
    rows: torch.Tensor,
    cell_of: torch.Tensor,
    targets: Sequence[torch.Tensor],
    held: int,
) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """The new distances and owners of all rows; how many distances were formed, how many roughly.

    Args:
        part: the partition.
        new: the new centers.
        rows: (r,) int64 ascending places of the rows that may change.
        cell_of: (r,) int64 cell of each.
        targets: for each cell the new centers that matter.
        held: how many centers there were: the new ones are numbered from here.
    """
    dim, device = part.vectors.dim, part.rows.device
    distance, owner = part.distance.clone(), part.owner.clone()
    norms_of, workspace = part.vectors.norms, Workspace(dim, len(new), device)
    rough = Rough(dim, len(new)) if has_matrix_unit(device) else None
    formed = roughly = 0

    def compare(
        some: Targets,
        number: torch.Tensor,
        own: torch.Tensor,
        vectors: torch.Tensor,
        at: torch.Tensor,
    ) -> None:
        """Compare own rows, whose vectors lie at ``at``, with some new centers, so numbered."""
        nonlocal formed
        formed += len(some) * len(own)
        for tile in tiles(device, len(own), dim, len(some)):
            places = own[tile]
            before = distance.index_select(0, places)
            scores = some.scores(workspace.widen(vectors, at[tile]), workspace)
            squared = some.nearest(scores, norms_of.index_select(0, places))
            nearer = torch.nonzero(squared < before).flatten()
            if len(nearer):
                moved = places.index_select(0, nearer)
                distance[moved] = squared.index_select(0, nearer)
                # the first of equal scores is the nearest and earliest, see Targets
                owner[moved] = number[scores.index_select(1, nearer).max(dim=0).indices]

    for asked, chunk, index in part.vectors.chunks(rows):
        cells, order = torch.sort(cell_of[asked], stable=True)
        here, index = rows[asked].index_select(0, order), index.index_select(0, order)
        names, sizes = torch.unique_consecutive(cells, return_counts=True)
        stop = 0
        for cell, size in zip(names.tolist(), sizes.tolist(), strict=True):
            start, stop = stop, stop + size
            some, number = new.some(targets[cell]), (held + new.place[targets[cell]]).int()
            own, at = here[start:stop], index[start:stop]
            if rough is None or size < LEAST_ROWS or len(some) < LEAST_TARGETS:
                compare(some, number, own, chunk, at)
                continue
            roughly += len(some) * len(own)
            for few, at_few in zip(own.split(ROUGH_ROWS), at.split(ROUGH_ROWS), strict=True):
                norms, before = norms_of.index_select(0, few), distance.index_select(0, few)
                for group, left in rough.left(some, chunk, at_few, norms, before):
                    compare(some.run(group), number[group], few[left], chunk, at_few[left])
    return distance, owner, formed, roughly


def _renumbered(owner: torch.Tensor, held: int, new: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of the new centers that own rows, and the owners counted without the others."""
    used = torch.zeros(held + new, dtype=torch.bool, device=owner.device)
    used[owner.long()] = True
    used[:held] = True
    number = (torch.cumsum(used, 0) - 1).int()
    return torch.nonzero(used[held:]).flatten(), number.index_select(0, owner)


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
    workspace = Workspace(part.vectors.dim, len(new), distance.device)
    high = torch.nonzero(part.distance > largest).flatten()
    for asked, chunk, index in part.vectors.chunks(high):
        here = high[asked]
        for tile in tiles(here.device, len(here), part.vectors.dim, len(new)):
            places = here[tile]
            norms = part.vectors.norms.index_select(0, places)
            scores = new.scores(workspace.widen(chunk, index[tile]), workspace)
            nearest = _running_min(new.squared(scores, norms).index_select(0, order))
            held = part.distance.index_select(0, places)
            torch.maximum(peaks, torch.minimum(nearest, held).amax(dim=1), out=peaks)
    return peaks, len(high) * len(new)


def _running_min(values: torch.Tensor) -> torch.Tensor:
    """(m, n) least value of each column down to each row; of int32 on the CPU in place."""
    if values.device.type != "cpu":
        return values.cummin(dim=0).values
    array = values.numpy()  # torch goes column by column, and keeps the places too: 3 times as long
    np.minimum.accumulate(array, axis=0, out=array)
    return values


def center_sketch(part: Partition, vectors: np.ndarray) -> Sketch:
    """A sketch for a partition, from (c, dim) int16 lattice of centers that exist before it."""
    step = _sketch_step(len(vectors), part.vectors.dim)
    return Sketch.of(on_device(vectors[::step], part.rows.device))


def restored(
    part: Partition,
    sketch: Sketch,
    distance: np.ndarray,
    number: np.ndarray,
    rows: np.ndarray,
    vectors: np.ndarray,
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
    centers = Centers.none(len(part), sketch, part.vectors.dim, device)
    return replace(
        part,
        open=_still_open(part, rows),
        distance=on_device(distance, device),
        owner=on_device(owner.astype(np.int32), device),
        sketch=sketch,
        centers=centers.add(sketch, on_device(vectors, device), on_device(owning, device)),
    )
