"""Which rows can come nearer to a new center at all: the triangle inequality, in two steps.

A row x with nearest center c cannot come nearer to a new center j when D(j, c) >= 2 d(x, c), for
then d(x, j) >= D(j, c) - d(x, c) >= d(x, c). Elkan (2003), "Using the triangle inequality to
accelerate k-means", uses it row by row. To ask it of all centers and all new centers would itself
cost a product of the two, so centers are grouped into cells around anchors, and a cell that no new
center comes near is passed over as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from coreframe.tasks.kcenter.sketch import Sketch
from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.kcenter.vectors import Vectors
from coreframe.tasks.lattice import Targets, squared_distances, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

SLACK = 1e-3
"""Lattice units by which bounds are loosened, against rounding in their float64 arithmetic."""


class Piece(NamedTuple):
    """Rows and new centers to be compared, each row with each center."""

    chosen: torch.Tensor
    """(t,) int64 ascending positions of the new centers."""
    places: torch.Tensor
    """(r,) int64 places of the rows."""
    vectors: torch.Tensor
    """(anything, dim) int16 lattice."""
    at: torch.Tensor
    """(r,) int64: where in ``vectors`` each row's lies."""


@dataclass(frozen=True)
class Unpruned:
    """The (row, new center) pairs whose distances are not ruled out.

    Attributes:
        rows: (r,) int64 places, ascending.
        cell: (r,) int64, the cell of each row's own center.
        targets: for each cell, the positions (int64, ascending) of the new centers that may be
            nearer to rows in it.
        rough_distances_formed: distances between sketches that were formed to find out.
    """

    rows: torch.Tensor
    cell: torch.Tensor
    targets: list[torch.Tensor]
    rough_distances_formed: int = 0

    @classmethod
    def all_pairs(cls, rows: int, new: int, device: torch.device) -> Unpruned:
        """All of so many rows with so many new centers, in one cell."""
        places = torch.arange(rows, device=device)
        return cls(places, torch.zeros_like(places), [torch.arange(new, device=device)])

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        rows_of = torch.bincount(self.cell, minlength=len(self.targets)).tolist()
        return sum(rows * len(some) for rows, some in zip(rows_of, self.targets, strict=True))

    def pieces(self, vectors: Vectors) -> Iterator[Piece]:
        """Go through the pairs in pieces whose rows all have the same new centers.

        Args:
            vectors: of the partition.
        """
        for asked, chunk, index in vectors.chunks(self.rows):
            if len(self.targets) == 1:
                yield Piece(self.targets[0], self.rows[asked], chunk, index)
                continue
            cells, order = torch.sort(self.cell[asked], stable=True)
            places, at = self.rows[asked].index_select(0, order), index.index_select(0, order)
            names, sizes = torch.unique_consecutive(cells, return_counts=True)
            stop = 0
            for cell, size in zip(names.tolist(), sizes.tolist(), strict=True):
                start, stop = stop, stop + size
                yield Piece(self.targets[cell], places[start:stop], chunk, at[start:stop])


@dataclass(frozen=True)
class CenterCells:
    """The centers that own a row of one partition, in cells around the first centers of all.

    Attributes:
        received: how many centers the partition was given, owners of rows or not.
        number: (c,) int64, their places in the order in which the partition was given them.
        sketches: (c, q) int16.
        norms: (c,) int32 squared lengths of the sketches.
        cell: (c,) int64, the nearest anchor of each.
        to_anchor: (c,) float64 lattice distance to it.
        anchors: (a, dim) int16 lattice, the first centers that the partition was given.
        max_anchors: where the number of anchors ends; 0 where nothing is pruned, and nothing but
            the centers' numbers is kept.
        tuning: when it pays to look at single centers.
    """

    received: int
    number: torch.Tensor
    sketches: torch.Tensor
    norms: torch.Tensor
    cell: torch.Tensor
    to_anchor: torch.Tensor
    anchors: torch.Tensor
    max_anchors: int
    tuning: Tuning

    @classmethod
    def none(
        cls, rows: int, sketch: Sketch, dim: int, device: torch.device, tuning: Tuning
    ) -> CenterCells:
        """Before the first center of a partition of so many rows."""
        whole = torch.empty(0, dtype=torch.int64, device=device)
        pruning = device.type in tuning.pruning_devices
        return cls(
            received=0,
            number=whole,
            sketches=torch.empty((0, sketch.length(dim)), dtype=torch.int16, device=device),
            norms=whole.int(),
            cell=whole,
            to_anchor=whole.double(),
            anchors=torch.empty((0, dim), dtype=torch.int16, device=device),
            max_anchors=min(tuning.max_cells, max(8, rows // tuning.cell_rows)) if pruning else 0,
            tuning=tuning,
        )

    def __len__(self) -> int:
        return len(self.number)

    def prune(
        self, sketch: Sketch, owner: torch.Tensor, distance: torch.Tensor, new: Targets
    ) -> Unpruned:
        """Find the rows that may be nearer to a new center than to their own.

        Args:
            sketch: how sketches were made.
            owner: (n,) int32, each row's center among these.
            distance: (n,) int32 squared distance to it.
            new: the sketches of the new centers.

        Returns:
            These rows, each with the new centers that may be nearer to some row of its cell.
        """
        device = distance.device
        if len(new) <= self.tuning.few_centers:
            return self._prune_few(sketch, owner, distance, new)
        squared = torch.zeros(len(self), dtype=torch.int32, device=device)
        squared.scatter_reduce_(0, owner.long(), distance, "amax")
        reach = 2 * squared.double().sqrt()
        cells = torch.full((len(self.anchors),), -1.0, dtype=torch.float64, device=device)
        cells.scatter_reduce_(0, self.cell, self.to_anchor + reach + SLACK, "amax")
        anchors = sketch(self.anchors)
        norms = squared_norms(anchors)
        apart = new.squared(new.scores(anchors.float()), norms)
        close = ((apart < sketch.limit(cells)) & (cells >= 0)).T.contiguous()
        formed = apart.numel()

        owner_cell = self.cell.index_select(0, owner)
        names = len(self.anchors)
        owners = torch.bincount(self.cell, minlength=names)
        owned = torch.bincount(owner_cell, minlength=names)
        near = close.sum(dim=1)
        if int((owners * near).sum()) > self.tuning.center_pairs_share * int((owned * near).sum()):
            rows = torch.nonzero(close.any(dim=1).index_select(0, owner_cell)).flatten()
            targets = [torch.nonzero(some).flatten() for some in close]
            return Unpruned(rows, owner_cell.index_select(0, rows), targets, formed)

        order = torch.argsort(self.cell, stable=True)
        members_of = torch.split(order, owners.tolist())
        nothing = torch.empty(0, dtype=torch.int64, device=device)
        targets = [nothing] * names
        nearest = torch.full((len(self),), 2**30, dtype=torch.int32, device=device)
        # squared < limit, said of scores: 2 s > |c|^2 + SCALE^2 - p - limit; 64 covers p, rounding
        least = ((self.norms + SCALE**2 - sketch.limit(reach) - 64) / 2).float()
        for cell in torch.nonzero(near).flatten().tolist():
            members, close_by = members_of[cell], torch.nonzero(close[cell]).flatten()
            some = new.at(close_by)
            scores = some.scores(self.sketches.index_select(0, members).float())
            formed += scores.numel()
            matters = (scores > least.index_select(0, members)).any(dim=1)
            targets[cell] = close_by[matters]
            nearest[members] = some.nearest(scores, self.norms.index_select(0, members))
        limit = sketch.limit(2 * distance.double().sqrt())
        rows = torch.nonzero(nearest.index_select(0, owner) < limit).flatten()
        return Unpruned(rows, owner_cell.index_select(0, rows), targets, formed)

    def _prune_few(
        self, sketch: Sketch, owner: torch.Tensor, distance: torch.Tensor, new: Targets
    ) -> Unpruned:
        """The same for so few new centers that cells would cost more than they save."""
        scores = new.scores(self.sketches.float())
        nearest = new.nearest(scores, self.norms)
        limit = sketch.limit(2 * distance.double().sqrt())
        rows = torch.nonzero(nearest.index_select(0, owner) < limit).flatten()
        every = torch.arange(len(new), device=distance.device)
        return Unpruned(rows, torch.zeros_like(rows), [every], scores.numel())

    def add(self, sketch: Sketch, vectors: torch.Tensor, owning: torch.Tensor) -> CenterCells:
        """Take in new centers, and keep those that own rows.

        Args:
            sketch: how sketches are made.
            vectors: (m, dim) int16 lattice of all of the new ones.
            owning: (o,) int64 ascending positions of those that own rows.
        """
        received = self.received + len(vectors)
        number = torch.cat([self.number, self.received + owning])
        if self.max_anchors == 0:
            return replace(self, received=received, number=number)
        missing = max(0, self.max_anchors - len(self.anchors))
        anchors = torch.cat([self.anchors, vectors[:missing]])
        kept = vectors.index_select(0, owning)
        cell, to_anchor = owning, owning.double()
        if len(kept):
            squared, cell = squared_distances(
                kept.float(), squared_norms(kept), anchors.float(), squared_norms(anchors)
            ).min(dim=1)
            to_anchor = squared.double().sqrt()
        sketches = sketch(kept)
        return replace(
            self,
            received=received,
            number=number,
            sketches=torch.cat([self.sketches, sketches]),
            norms=torch.cat([self.norms, squared_norms(sketches)]),
            cell=torch.cat([self.cell, cell]),
            to_anchor=torch.cat([self.to_anchor, to_anchor]),
            anchors=anchors,
        )
