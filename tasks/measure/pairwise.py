"""Statistics over all pairwise distances of a set of frames, in tiles, without an N x N array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lattice import on_device, squared_distances, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

BINS = 200_000
BIN = 2.1 / BINS
"""Bin width, about 1e-5. Lattice rounding lengthens vectors by at most 2.4 %, so 2.1 bounds L2."""

COARSE = 4000
"""Bins counted together for people to look at: L2_BIN of distance."""

L2_BIN = COARSE * BIN

TILE_ROWS = 1024
"""Rows, and columns, of a tile of pairs: their distances are formed together."""

GROUPS = 20
"""Into which a sample is split to see how far its statistics can be trusted."""

T_95 = 2.093
"""Student's t at 97.5 % with GROUPS - 1 degrees of freedom."""


@dataclass(frozen=True)
class PairStatistics:
    """Of the distances of some pairs; two of them merge into that of all their pairs."""

    pairs: int
    """How many there are."""
    total: float
    """Sum of lattice distances."""
    smallest: int
    """Squared lattice distance."""
    largest: int
    """Squared lattice distance."""
    histogram: NDArray[np.int64]
    """(BINS,) int64 counts of L2 distances on the unit scale."""

    @classmethod
    def empty(cls) -> PairStatistics:
        """Of no pair."""
        return cls(0, 0.0, 2**31 - 1, 0, np.zeros(BINS, np.int64))

    def merge(self, other: PairStatistics) -> PairStatistics:
        """Of the pairs of both."""
        return PairStatistics(
            self.pairs + other.pairs,
            self.total + other.total,
            min(self.smallest, other.smallest),
            max(self.largest, other.largest),
            self.histogram + other.histogram,
        )

    def summary(self) -> dict[str, float | None]:
        """``l2_mean``, ``l2_min``, ``l2_max``, ``l2_p10``, ``l2_p90``; None when there is no pair.

        Percentiles interpolate linearly between order statistics, as ``numpy.percentile`` does;
        each order statistic is known to within half a bin, 5e-6.
        """
        if self.pairs == 0:
            return dict.fromkeys(("l2_mean", "l2_min", "l2_max", "l2_p10", "l2_p90"))
        return {
            "l2_mean": self.total / self.pairs / SCALE,
            "l2_min": self.smallest**0.5 / SCALE,
            "l2_max": self.largest**0.5 / SCALE,
            "l2_p10": self._percentile(10),
            "l2_p90": self._percentile(90),
        }

    def counts(self) -> list[int]:
        """How many pairs there are in each L2_BIN of distance, up to the last that has any."""
        coarse = self.histogram.reshape(-1, COARSE).sum(axis=1)
        return np.trim_zeros(coarse, "b").tolist()

    def _percentile(self, percent: int) -> float:
        place, hundredths = divmod((self.pairs - 1) * percent, 100)
        low, high = self._order_statistic(place), self._order_statistic(place + 1)
        return low + (high - low) * hundredths / 100

    def _order_statistic(self, place: int) -> float:
        place = min(place, self.pairs - 1)
        if place == 0:
            return self.smallest**0.5 / SCALE
        if place == self.pairs - 1:
            return self.largest**0.5 / SCALE
        return (float(np.searchsorted(np.cumsum(self.histogram), place, side="right")) + 0.5) * BIN


def pairs_within(
    vectors: NDArray[np.int16], start: int, stop: int, tile_rows: int = TILE_ROWS
) -> PairStatistics:
    """Statistics of all pairs (i, j) with ``start <= i < stop`` and ``i < j``.

    Args:
        vectors: (n, dim) int16 lattice.
        start: first i.
        stop: past the last i.
        tile_rows: of how many vectors distances are formed together; it changes nothing else but
            the order in which they are added up.
    """
    lattice = on_device(vectors, torch.device("cpu"))
    norms = squared_norms(lattice)
    result = PairStatistics.empty()
    histogram = torch.zeros(BINS, dtype=torch.int64)
    for top in range(start, stop, tile_rows):
        rows = slice(top, min(top + tile_rows, stop))
        for left in range(top, len(lattice), tile_rows):
            columns = slice(left, left + tile_rows)
            squared = squared_distances(
                lattice[rows].float(), norms[rows], lattice[columns].float(), norms[columns]
            )
            if left < rows.stop:  # the tile meets the diagonal: each pair once, none with itself
                i = torch.arange(rows.start, rows.stop)[:, None]
                j = torch.arange(left, left + squared.shape[1])[None, :]
                squared = squared[i < j]
            if squared.numel() == 0:
                continue
            distance = squared.flatten().double().sqrt()
            bins = (distance * (1 / (SCALE * BIN))).long()
            histogram += torch.bincount(bins, minlength=BINS)
            result = result.merge(
                PairStatistics(
                    squared.numel(),
                    float(distance.sum()),
                    int(squared.min()),
                    int(squared.max()),
                    np.zeros(BINS, np.int64),
                )
            )
    return PairStatistics(
        result.pairs, result.total, result.smallest, result.largest, histogram.numpy()
    )


def strips(n: int, parts: int) -> Sequence[tuple[int, int]]:
    """Split ``0 .. n`` into about ``parts`` runs of first indices with about equally many pairs."""
    shares = 1 - np.sqrt(1 - np.arange(parts + 1) / parts)
    edges = np.unique(np.rint(shares * n).astype(int))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def sample_places(n: int, size: int, seed: int) -> NDArray[np.int64]:
    """Draw (size,) of ``n`` places without replacement, ascending; their pairs stand for all."""
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def groups_of(size: int, seed: int) -> list[NDArray[np.int64]]:
    """Split ``size`` sampled places at random into GROUPS of equal size, for :func:`half_widths`.

    A few places are in none when the size is no multiple.
    """
    order = np.random.default_rng(seed + 1).permutation(size)
    return list(order[: size - size % GROUPS].reshape(GROUPS, -1))


def half_widths(groups: Sequence[PairStatistics]) -> dict[str, float]:
    """Half the width of 95 % confidence intervals of the mean and the percentiles of a sample.

    All pairs of a sample of frames are not independent of one another, but the pairs inside
    disjoint groups of frames are of those in other groups. A statistic of all pairs of m frames
    varies as 1/sqrt(m) (Hoeffding 1948, "A class of statistics with asymptotically normal
    distribution"), so its standard error is that of the mean of the groups' values.

    Args:
        groups: statistics of the pairs inside each of GROUPS groups.
    """
    names = ("l2_mean", "l2_p10", "l2_p90")
    summaries = [group.summary() for group in groups]
    found = np.array([[summary[name] for name in names] for summary in summaries], np.float64)
    errors = found.std(axis=0, ddof=1) / len(groups) ** 0.5
    return {name: T_95 * float(error) for name, error in zip(names, errors, strict=True)}
