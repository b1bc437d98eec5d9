"""One partition: how near its rows are to a center, and what another center would bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.gaps import Gaps, whole_gaps
from coreframe.tasks.facility.listed import Lists, Sums, make_lists
from coreframe.tasks.kcenter import partition
from coreframe.tasks.kcenter.assign import assign, still_open
from coreframe.tasks.kcenter.job import CenterArrays
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.vectors import Source
from coreframe.tasks.lattice import Targets, Workspace, on_device
from coreframe.tasks.lazy import torch

GROUPS = 16
"""States of the gaps, as they were when candidates were looked at last, that are made again to see
which rows changed: those of most candidates. Each takes two bytes a row."""

ASIDE = -1
"""Says that a gain is not wanted."""

SMALL_VALUES = 2**22
"""Values in the vectors of a partition at most that is compared with all new centers."""

CALLED = 32_768
"""Distances that could be formed while one more product is called for."""


class Change(NamedTuple):
    """What some new centers changed."""

    places: torch.Tensor
    """(c,) int32 places of the rows that came nearer to a center."""
    gap: torch.Tensor
    """(c,) int16 their gaps before."""


@dataclass(frozen=True)
class Standing:
    """A partition, and how its rows' gaps came about.

    Attributes:
        part: its rows and centers.
        gap: (n,) float32 whole lattice units to the nearest center; NO_CENTER before the first.
        changes: what each portion of new centers changed, in the order of their arrival.
        lists: the pairs with some candidates, if any were asked for.
    """

    part: Partition
    gap: torch.Tensor
    changes: tuple[Change, ...] = ()
    lists: Lists | None = None

    @classmethod
    def of(cls, part: Partition) -> Standing:
        """As a partition stands, with any centers that it has."""
        return cls(part, whole_gaps(part.distance))

    def __sizeof__(self) -> int:
        """Bytes, so that Dask knows what moving this would cost."""
        noted = sum(change.places.nbytes + change.gap.nbytes for change in self.changes)
        noted += 0 if self.lists is None else self.lists.nbytes
        return self.part.__sizeof__() + self.gap.nbytes + noted


class Asked(NamedTuple):
    """Candidates whose gains are wanted."""

    vectors: NDArray[np.int16]
    """(b, dim) lattice."""
    since: NDArray[np.int32]
    """(b, s) portions of centers that there were when a gain was found last, in every stretch of
    the corpus; ASIDE where it is not wanted."""


class Report(NamedTuple):
    """How a partition stands."""

    curve: NDArray[np.int32] | None
    """See :class:`coreframe.tasks.kcenter.partition.Partition`."""
    gap: NDArray[np.int64]
    """(s,) sums of the gaps in each of its stretches."""
    distances_formed: int
    rough_distances_formed: int
    listed: Sums | None
    """What listed candidates bring, or since the last centers bring less; see `listed.Lists`."""
    listed_formed: int
    """Distances formed for the lists that there are."""


class Answer(NamedTuple):
    """What candidates would bring at the rows of a partition."""

    gain: NDArray[np.int32]
    """(b, s) in each of its stretches."""
    distances_formed: int


def take(standing: Standing, centers: CenterArrays) -> Standing:
    """Take new centers into account; the given standing is left as it is."""
    part = standing.part
    small = 0 < len(part) * part.vectors.dim <= SMALL_VALUES
    part = _take_one_by_one(part, *centers) if small else assign(part, *centers, curve=True)
    gap = whole_gaps(part.distance)
    places = torch.nonzero(gap < standing.gap).flatten()
    before = standing.gap.index_select(0, places).short()
    lists = standing.lists
    if lists is not None:
        lists = replace(lists, sums=lists.lost(standing.gap, gap))
    return Standing(part, gap, (*standing.changes, Change(places.int(), before)), lists)


def _take_one_by_one(
    part: Partition, rows: NDArray[np.int64], vectors: NDArray[np.int16]
) -> Partition:
    """Form all distances to new centers: of few rows that takes less time than ruling any out.

    Owners are numbered on; that they are centers' places among all is of no use here.
    """
    distance, owner, curve = part.distance.clone(), part.owner.clone(), []
    number = int(owner.max()) + 1
    workspace = Workspace(part.vectors.dim, 1, distance.device, part.tuning.tile_values)
    for vector in vectors:
        target = _targets(part, vector[None])
        for asked, chunk, at in part.vectors.chunks():
            for tile in workspace.tiles(len(at), part.vectors.dim):
                places = slice(asked.start + tile.start, asked.start + tile.stop)
                scores = target.scores(workspace.widen(chunk, at[tile]), workspace)
                squared = target.squared(scores, part.vectors.norms[places])[0]
                owner[places][squared < distance[places]] = number
                torch.minimum(distance[places], squared, out=distance[places])
        curve.append(int(distance.max()))
        number += 1
    return replace(
        part,
        distance=distance,
        owner=owner,
        open=still_open(part, rows),
        curve=np.array(curve, np.int32),
        distances_formed=part.distances_formed + len(vectors) * len(part),
    )


def listing(standing: Standing, source: Source, units: NDArray[np.int64]) -> Standing:
    """List the pairs of its rows with (c,) candidates, ascending units, in place of others."""
    lists = make_lists(standing.part, standing.gap, source, units, standing.lists)
    return replace(standing, lists=lists)


def count_pairs(standing: Standing, vectors: NDArray[np.int16]) -> int:
    """How many rows are nearer to (b, dim) vectors than to their center: the sum over these."""
    count, gap = 0, standing.gap
    for places, gaps in _gap_tiles(standing, _targets(standing.part, vectors)):
        count += int((gaps < gap[places]).sum())
    return count


def report(standing: Standing, length: int) -> Report:
    """How a partition stands, in stretches of so many rows."""
    part = standing.part
    sums = [some.sum(dtype=torch.float64) for some in standing.gap.split(length) if len(some)]
    gap = np.array([int(one) for one in sums], np.int64)
    formed = part.distances_formed, part.rough_distances_formed
    lists = standing.lists
    listed = (None, 0) if lists is None else (lists.sums, lists.formed)
    return Report(part.curve, gap, *formed, *listed)


class State(NamedTuple):
    """How the rows of a partition stand."""

    open: NDArray[np.bool_]
    """(n,) whether each row is not picked."""
    squared: NDArray[np.int32]
    """(n,) squared distance to the nearest center."""
    gap: NDArray[np.int16]
    """(n,) the same in whole lattice units."""


def state(standing: Standing) -> State:
    """How the rows of a partition stand."""
    part, gap = standing.part, standing.gap.short()
    return State(part.open.cpu().numpy(), part.distance.cpu().numpy(), gap.cpu().numpy())


def look(
    standing: Standing, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """(k, dim) vectors of ascending rows of its own, and (k,) squared distances to a center."""
    part = standing.part
    places = torch.searchsorted(part.rows, on_device(rows, part.rows.device))
    squared = part.distance.index_select(0, places).long()
    return partition.collect(part, rows), squared.cpu().numpy()


def gaps_to(standing: Standing, vector: NDArray[np.int16]) -> NDArray[np.int16]:
    """(n,) gaps of all rows to one (dim,) vector."""
    found = np.empty(len(standing.part), np.int16)
    for places, gaps in _gap_tiles(standing, _targets(standing.part, vector[None])):
        found[places] = gaps[0].short().cpu().numpy()
    return found


def lowest_sums(
    standing: Standing, sample: NDArray[np.int16], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows nearest on average to some vectors: (s,) rows and the sums of their gaps to these.

    Args:
        standing: the partition.
        sample: (m, dim) lattice, m at most SUMMED.
        count: how many rows to name at most.
    """
    part = standing.part
    sums = torch.empty(len(part), dtype=torch.float32, device=part.rows.device)
    for places, gaps in _gap_tiles(standing, _targets(standing.part, sample)):
        sums[places] = gaps.sum(dim=0)
    lowest = torch.topk(sums, min(count, len(part)), largest=False).indices
    return part.rows[lowest].cpu().numpy(), sums[lowest].long().cpu().numpy()


def _targets(part: Partition, vectors: NDArray[np.int16]) -> Targets:
    return Targets.from_lattice(on_device(vectors, part.rows.device), part.tuning.tile_values)


def _gap_tiles(standing: Standing, targets: Targets) -> Iterator[tuple[slice, torch.Tensor]]:
    """All rows tile by tile: their places, and their (m, n) float32 gaps to m targets."""
    part = standing.part
    gaps = Gaps(part.vectors.dim, len(targets), part.rows.device, part.tuning.tile_values)
    for asked, chunk, at in part.vectors.chunks():
        norms = part.vectors.norms[asked]
        for tile in gaps.tiles(len(at), len(targets)):
            places = slice(asked.start + tile.start, asked.start + tile.stop)
            yield places, gaps(targets, gaps.widen(chunk, at[tile]), norms[tile])


def gap_sums(standing: Standing, vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """(b,) sums of the gaps of all rows to each of (b, dim) vectors."""
    targets = _targets(standing.part, vectors)
    total = torch.zeros(len(targets), dtype=torch.float64, device=standing.gap.device)
    for _, gaps in _gap_tiles(standing, targets):
        total += gaps.sum(dim=1)
    found = torch.empty_like(total, dtype=torch.int64)
    found[targets.place] = total.long()
    return found.cpu().numpy()


def evaluate(
    standing: Standing,
    asked: Asked,
    length: int,
    own: tuple[slice, NDArray[np.int32]],
) -> Answer:
    """Find what candidates would bring: by how much the sum of the gaps would fall.

    In a stretch only rows count that new centers have come near since a gain was found there last,
    or all, whichever is less work.

    Args:
        standing: the partition.
        asked: the candidates.
        length: of a stretch.
        own: which stretches are its own; and (b, s) what each would have brought there.
    """
    part = standing.part
    targets = _targets(part, asked.vectors)
    order = targets.place.cpu().numpy()
    since, found = asked.since[order, own[0]], own[1][order]
    before = _before(standing, since)
    sums = _Savings(standing, targets)
    for stretch in range(found.shape[1]):
        rows = slice(stretch * length, min((stretch + 1) * length, len(part)))
        lost, anew, work = [], [], 0
        for known in np.unique(since[:, stretch]).tolist():
            if known == ASIDE:
                continue
            group = np.flatnonzero(since[:, stretch] == known)
            if known not in before:
                anew.append(group)
                continue
            places = torch.nonzero(before[known][rows] > standing.gap[rows]).flatten()
            if len(places):
                lost.append((group, rows.start + places, before[known]))
                work += len(group) * len(places) + CALLED
        if work >= sum(len(group) for group, _, _ in lost) * (rows.stop - rows.start) + CALLED:
            anew += [group for group, _, _ in lost]
            lost = []
        for group, places, old in lost:
            found[group, stretch] -= sums.of(group, places, old)
        if anew:
            places = rows.start + torch.nonzero(standing.gap[rows]).flatten()
            group = np.sort(np.concatenate(anew))
            found[group, stretch] = sums.of(group, places)
    result = np.empty_like(found)
    result[order] = found
    return Answer(result, sums.formed)


def _before(standing: Standing, since: NDArray[np.int32]) -> dict[int, torch.Tensor]:
    """The (n,) int16 gaps after those numbers of portions that most candidates have."""
    gap, undone, found = standing.gap.short(), len(standing.changes), {}
    numbers, counts = np.unique(since[since != ASIDE], return_counts=True)
    for number in sorted(numbers[np.argsort(-counts, kind="stable")[:GROUPS]].tolist())[::-1]:
        gap = gap.clone()
        for change in reversed(standing.changes[number:undone]):
            gap[change.places.long()] = change.gap
        found[number], undone = gap, number
    return found


class _Savings:
    """Sums of what candidates save rows of a partition.

    Attributes:
        formed: distances formed for them.
    """

    def __init__(self, standing: Standing, targets: Targets) -> None:
        part = standing.part
        self._standing, self._targets, self.formed = standing, targets, 0
        self._gaps = Gaps(part.vectors.dim, len(targets), part.rows.device, part.tuning.tile_values)

    def of(
        self, chosen: NDArray[np.int64], places: torch.Tensor, before: torch.Tensor | None = None
    ) -> NDArray[np.int32]:
        """(t,) what candidates would save some rows; or by how much less it is than it was.

        Of a row that came from gap a to b, one at d saves max(0, a - d) - max(0, b - d) less: what
        lies above d between b and a.

        Args:
            chosen: (t,) ascending positions of the candidates.
            places: (r,) int64 ascending, of the rows.
            before: (n,) int16 gaps of all rows as they were; None for what they save now.
        """
        vectors, gap = self._standing.part.vectors, self._standing.gap
        some = self._targets.at(on_device(chosen, gap.device))
        total = torch.zeros(len(some), dtype=torch.int32, device=gap.device)
        self.formed += len(chosen) * len(places)
        for asked, chunk, at in vectors.chunks(places):
            here = places[asked]
            for tile in self._gaps.tiles(len(at), len(some)):
                own = here[tile]
                norms = vectors.norms.index_select(0, own)
                upper = now = gap.index_select(0, own)
                formed = self._gaps(some, self._gaps.widen(chunk, at[tile]), norms)
                if before is not None:
                    upper = before.index_select(0, own).float()
                    torch.maximum(formed, now[None], out=formed)
                torch.minimum(formed, upper[None], out=formed)
                total += (upper.sum() - formed.sum(dim=1)).int()
        return total.cpu().numpy()
