"""The k nearest found so far of some rows.

They are kept as keys, see :mod:`coreframe.tasks.neighbours.found`: integers in the order of what
is sought, so what is found does not depend on the order of looking.
"""

from __future__ import annotations

from coreframe.tasks.lattice import Targets, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.neighbours.found import NONE, ROW_BITS
from coreframe.tasks.scale import SCALE

MANY = 2
"""Times as many as are sought, from where on only the best of them are looked at."""


class Nearest:
    """The nearest neighbours of some rows.

    Attributes:
        rows: (n,) int64.
        vectors: (n, dim) int16 lattice.
        norms: (n,) int32 squared lengths.
        keys: (n, k) int64 ascending, NONE where less than k were found.
        bound: (n,) int64 squared distance: whoever is farther is not among the k nearest.
    """

    def __init__(self, rows: torch.Tensor, vectors: torch.Tensor, keys: torch.Tensor) -> None:
        """Begin with what is known of them; see the attributes."""
        self.rows, self.vectors, self.keys = rows, vectors, keys
        self.norms = squared_norms(vectors)
        self.bound = keys[:, -1] >> ROW_BITS

    def lower(self, bound: torch.Tensor) -> None:
        """Take up (n,) int64 bounds that are known in another way."""
        self.bound = torch.minimum(self.bound, bound)

    def compare(
        self,
        own: slice,
        rows: torch.Tensor,
        wide: torch.Tensor,
        norms: torch.Tensor,
        tile_values: int,
    ) -> None:
        """Compare some of the rows with others; it does no harm to compare two again.

        Args:
            own: which of them.
            rows: (m,) int64 of the others; a row is no neighbour of itself.
            wide: (m, dim) float32 holding their lattice vectors.
            norms: (m,) int32 squared lengths.
            tile_values: scores formed at a time.
        """
        mine = self.vectors[own].float()
        step = max(1, tile_values // max(1, len(mine)))
        half = (norms - SCALE**2) // 2
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            scores = torch.addmm(-half[some].float()[None, :], mine, wide[some].T)
            least = Targets.least_score(self.norms[own], self.bound[own] + 1)
            place, other = torch.nonzero(self._promising(scores, least), as_tuple=True)
            if len(place):
                dots = scores[place, other].int() + half[some][other]
                squared = self.norms[own][place] + norms[some][other] - 2 * dots
                self._take(own.start + place, (squared.long() << ROW_BITS) | rows[some][other])

    def _promising(self, scores: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
        """Which may be among the nearest, of (n, m) scores of n rows with m others.

        Of many it is those that score no less than k + 1 of them, for one of these may be the row
        itself. The others are farther: scores are integers, and the squared distance is a number of
        the row's own less twice the score, or one more.

        Args:
            scores: see :class:`coreframe.tasks.lattice.Targets`.
            least: (n,) who scores no more is too far.
        """
        promising = scores > least[:, None]
        enough = self.keys.shape[1] + 1
        if scores.shape[1] > enough and int(promising.sum()) > MANY * enough * len(scores):
            promising &= scores >= torch.topk(scores, enough, dim=1).values[:, -1:]
        return promising

    def _take(self, place: torch.Tensor, keys: torch.Tensor) -> None:
        """Take up candidates.

        Args:
            place: (p,) int64 ascending, the place of the row of which each is one.
            keys: (p,) int64.
        """
        nearer = keys < self.keys[:, -1].index_select(0, place)
        nearer &= (keys & (2**ROW_BITS - 1)) != self.rows.index_select(0, place)
        place, keys = place[nearer], keys[nearer]
        new = ~(self.keys.index_select(0, place) == keys[:, None]).any(dim=1)
        place, keys = place[new], keys[new]
        if not len(place):
            return
        touched, at, count = torch.unique_consecutive(
            place, return_inverse=True, return_counts=True
        )
        k = self.keys.shape[1]
        first = torch.cumsum(count, 0) - count
        column = k + torch.arange(len(place), device=place.device) - first.index_select(0, at)
        table = self.keys.new_full((len(touched), k + int(count.max())), NONE)
        table[:, :k] = self.keys.index_select(0, touched)
        table[at, column] = keys
        best = torch.topk(table, k, dim=1, largest=False, sorted=True).values
        self.keys[touched] = best
        self.bound[touched] = torch.minimum(
            self.bound.index_select(0, touched), best[:, -1] >> ROW_BITS
        )
