"""Short vectors that tell which distances need not be formed.

Projection onto orthonormal directions never lengthens a distance. That a few principal components
give a lower bound with which most comparisons can be left out is known from searching time series
and images: Faloutsos, Ranganathan and Manolopoulos (1994), "Fast subsequence matching in
time-series databases".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.lazy import torch

SHRINK = 0.995
"""Keeps sketches, rounded, within the length that exact products allow; see `tasks.lattice`."""


@dataclass(frozen=True)
class Sketch:
    """A projection to a few integers, between which no distance is longer than the true one.

    The basis is that of the principal components of a sample. Frames of video move in few of the
    directions of their embedding, so a sketch keeps most of every distance: where even the
    sketches of two vectors are farther apart than matters, the vectors are. That only saves
    work; what a sketch does not rule out is computed exactly.

    Attributes:
        basis: (dim, q) float32 with orthonormal columns times SHRINK; None when there are no few
            directions to speak of, and the whole vector stands for itself.
        slack: lattice units by which rounding may have moved two sketches apart.
    """

    basis: torch.Tensor | None
    slack: float

    @classmethod
    def from_sample(cls, sample: torch.Tensor, tuning: Tuning = DEFAULT_TUNING) -> Sketch:
        """Find the shortest sketch that is worth its while.

        Args:
            sample: (n, dim) int16 lattice vectors.
            tuning: which lengths there are, and of how much variance they are worth it.
        """
        rows, dim = sample.shape
        lengths = [length for length in tuning.sketch_lengths if 4 * length <= min(rows, dim)]
        if not lengths:
            return cls(None, 0.0)
        centred = sample.double()
        centred -= centred.mean(dim=0)
        wide = rows < dim  # the smaller of the two products has the same variances
        variance, directions = torch.linalg.eigh(
            centred @ centred.T if wide else centred.T @ centred
        )
        variance, directions = variance.flip(0), directions.flip(1)[:, : lengths[-1]]
        kept = torch.cumsum(variance, 0) / variance.sum().clamp(min=1e-9)
        enough = [n for n in lengths if kept[n - 1] >= tuning.sketch_enough_variance]
        for length in enough[:1] or lengths[-1:]:
            if kept[length - 1] >= tuning.sketch_least_variance:
                if wide:
                    directions = torch.linalg.qr(centred.T @ directions[:, :length]).Q
                basis = (SHRINK * directions[:, :length]).float().contiguous()
                # each of 2q integers is off by 1/2, and by the rounding of its float32 sum
                off = 0.5 + dim * 2**-24 * 4096
                return cls(basis, 2 * off * sqrt(length))
        return cls(None, 0.0)

    @property
    def shortens(self) -> bool:
        """Whether sketches are shorter than the vectors."""
        return self.basis is not None

    def length(self, dim: int) -> int:
        """Integers a sketch of vectors of ``dim``."""
        return dim if self.basis is None else self.basis.shape[1]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, dim) int16 lattice to (n, q) int16."""
        if self.basis is None:
            return vectors
        return torch.round(vectors.float() @ self.basis).to(torch.int16)

    def limit(self, distance: torch.Tensor) -> torch.Tensor:
        """Squared distance of sketches from which on vectors are no nearer than ``distance``.

        Args:
            distance: (n,) float64 lattice distances.

        Returns:
            (n,) float64; equal to the squared distance where sketches are whole vectors.
        """
        if self.basis is None:
            return distance.square()
        return (SHRINK * distance + self.slack).square()
