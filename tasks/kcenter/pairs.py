"""Products in bfloat16 on a GPU, after which few single pairs are left to be formed exactly.

A GPU's tensor cores multiply bfloat16 numbers some fifteen times as fast as its other units do
float32 ones. What is off in these scores has a bound, so for each row only those targets matter
that may be nearer than its own center, and as near as the best: about one, in those rows that come
nearer to a target at all. Their products are formed in float32, pair by pair, so results do not
depend on where this is done. All runs in few large steps without a question to the device but how
many are left.

Int8 products would be faster by half and exact in themselves, but rounding a vector to them moves
it five times as far, and what comes out has twice the bytes to be written and read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from coreframe.tasks.kcenter.bfloat16 import UNIT
from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.lattice import Targets
from coreframe.tasks.lazy import torch

TOP_STEP = 2.0**16
"""Between neighbours in bfloat16 just below 2^24, which no product of two lattice vectors reaches:
as far as rounding one can move it."""

SUMMAND_LOSS = 4.0
"""Of a product, or of a sum of some, at most lost when it is added to others; see `_error`."""

ARITHMETIC = 64.0
"""Lattice units for the rounding of a dozen operations on float32 numbers below 2^26."""

_SETTING = Lock()


def pairs_pay(device: torch.device, tuning: Tuning) -> bool:
    """Whether bfloat16 products are so much faster on a device that this pays."""
    if device.type not in tuning.pairs_devices:
        return False
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


@dataclass(frozen=True)
class Left:
    """What of some rows and targets has to be compared exactly.

    Attributes:
        rows: (r,) int64 ascending positions of the rows that may be nearer to a target.
        pairs: (p,) int64, of each pair that is left, the row's position in ``rows``, and (p,)
            int64 its target; None when there are so many that all pairs of these rows are better
            formed by a product.
    """

    rows: torch.Tensor
    pairs: tuple[torch.Tensor, torch.Tensor] | None


class PairScreen:
    """Finds the pairs of rows and targets that may be nearer than the rows' centers."""

    def __init__(
        self, dim: int, rows: int, targets: int, device: torch.device, tuning: Tuning
    ) -> None:
        """Allocate what it works with.

        Args:
            dim: of the vectors.
            rows: at most that are compared.
            targets: at most that it is given.
            device: where all of it lies.
            tuning: how much is worked on together.
        """
        self._dim, self._dense_share = dim, tuning.pairs_dense_share
        self._count = self._columns = -(-targets // 64) * 64  # tensor cores want whole tiles
        most = tuning.pairs_values // max(1, dim, self._columns)
        self._at_once = max(1, min(most, rows))
        self._pairs_at_once = max(1, tuning.pairs_values // (4 * max(1, dim)))
        self._targets = torch.zeros((self._columns, dim), dtype=torch.bfloat16, device=device)
        self._rows = torch.empty((self._at_once, dim), dtype=torch.bfloat16, device=device)
        self._scores = torch.empty(
            self._at_once * self._columns, dtype=torch.bfloat16, device=device
        )

    def begin(self, targets: Targets) -> None:
        """Round the targets with which rows are compared from now on."""
        self._count, self._columns = len(targets), -(-len(targets) // 64) * 64
        rounded = self._targets[: self._count]
        rounded.copy_(targets.wide)  # what is beyond is multiplied, and not looked at
        self._share = _share_of_length(targets.wide, rounded)
        self._offsets = targets.offset.min(), targets.offset.max()

    def tiles(self, rows: int) -> Iterator[slice]:
        """Cut so many rows into as many as :meth:`remaining` takes."""
        for start in range(0, rows, self._at_once):
            yield slice(start, min(start + self._at_once, rows))

    @cached_property
    def _integers(self) -> torch.Tensor:
        """For what is gathered, if anything is."""
        return torch.empty_like(self._rows, dtype=torch.int16)

    def gather(self, vectors: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """(n, dim) int16 of the vectors at n places; valid until the next call."""
        return torch.index_select(vectors, 0, at, out=self._integers[: len(at)])

    def remaining(self, own: torch.Tensor, norms: torch.Tensor, squared: torch.Tensor) -> Left:
        """Find the pairs that may be nearer than ``squared``, and as near as the row's nearest.

        Args:
            own: (n, dim) int16 lattice of the rows.
            norms: (n,) int32 squared lengths of the rows.
            squared: (n,) int32 squared distances of the rows to their centers.
        """
        count, columns = len(own), self._columns
        scores = self._scores[: count * columns].view(count, columns)
        with _summed_in_float32():
            torch.mm(self._rows[:count].copy_(own), self._targets[:columns].T, out=scores)
        scores = scores[:, : self._count]
        error = _error(self._share, norms, self._dim)
        highest = scores.amax(dim=1).float()
        reached = highest - _rounding(highest) - error + self._offsets[0]
        least = torch.maximum(reached, Targets.least_score(norms, squared))
        least = least - error - self._offsets[1]
        least -= _rounding(least)
        rows = torch.nonzero(highest >= least).flatten()
        reach = scores.index_select(0, rows) >= least.index_select(0, rows)[:, None]
        if int(torch.count_nonzero(reach)) > self._dense_share * reach.numel() + len(rows):
            return Left(rows, None)
        row, target = torch.nonzero(reach).unbind(dim=1)
        return Left(rows, (row, target))

    def nearest(
        self,
        rows: torch.Tensor,
        pairs: tuple[torch.Tensor, torch.Tensor],
        targets: Targets,
        numbers: tuple[torch.Tensor, torch.Tensor],
        vectors: torch.Tensor,
        at: torch.Tensor,
        norms: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The nearest target of each row that has a pair left, exactly.

        Args:
            rows: see :class:`Left`.
            pairs: likewise.
            targets: the targets.
            numbers: (m,) int32 their squared lengths, and (m,) int32 their numbers, which decide
                among equally near ones.
            vectors: (anything, dim) int16 lattice.
            at: (n,) int64, where the rows' vectors lie among these.
            norms: (n,) int32 squared lengths of the rows.

        Returns:
            (r,) int32 squared distance of each of ``rows``, and (r,) int32 number of the
            nearest, the lowest of several.
        """
        lengths, names = numbers
        found = torch.full((len(rows),), 2**62, dtype=torch.int64, device=rows.device)
        own_at, own_norms = at.index_select(0, rows), norms.index_select(0, rows)
        pieces = (some.split(self._pairs_at_once) for some in pairs)
        for row, target in zip(*pieces, strict=True):
            own = vectors.index_select(0, own_at.index_select(0, row))
            # whole numbers, each sum exact: see `lattice`
            dots = (own * targets.wide.index_select(0, target)).sum(dim=1).int()
            apart = own_norms.index_select(0, row) + lengths.index_select(0, target) - 2 * dots
            key = (apart.long() << 32) | names.index_select(0, target)
            found.scatter_reduce_(0, row, key, "amin")
        return (found >> 32).int(), (found & (2**32 - 1)).int()


def _share_of_length(targets: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """The share of its length by which a row's products with rounded targets may be off.

    Args:
        targets: (m, dim) float32 holding lattice integers.
        rounded: (m, dim) the same in bfloat16.
    """
    length = targets.square().sum(dim=1).max().sqrt()
    off = (targets - rounded).square().sum(dim=1).max().sqrt()
    return 1.001 * (UNIT * length + (1 + UNIT) * off)  # and what float32 makes of these lines


def _error(share: torch.Tensor, norms: torch.Tensor, dim: int) -> torch.Tensor:
    """(n,) float32 by which products of rounded vectors, before they are rounded, may be off.

    With u the unit of rounding, x' and c' rounded, x.c - x'.c' is at most |x - x'| |c| +
    |x'| |c - c'| <= |x| (u |c| + (1 + u) |c - c'|), by Cauchy and Schwarz.

    The products that make up x'.c' are whole numbers, and each sum of some is below
    (1 + u)^2 4064^2 < 2^24, again by Cauchy and Schwarz. Tensor cores shift a few products and the
    sum so far to the exponent of the largest, cut off what lies below their adder's last bit, and
    add. Those that were looked at keep 24 bits from the largest, and so lose nothing of such
    numbers (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores").
    So that nothing depends on that, the bound covers an adder of 22 bits: of a summand below 2^24
    it loses less than 4, and there are at most 2 dim summands, each product and each sum so far
    once. With 512 numbers a vector that is a thirtieth of the whole.

    Args:
        share: see :func:`_share_of_length`.
        norms: (n,) int32 squared lengths of the rows.
        dim: of the vectors.
    """
    return norms.float().sqrt() * share + (2 * SUMMAND_LOSS * dim + ARITHMETIC)


def _rounding(scores: torch.Tensor) -> torch.Tensor:
    """How far at most a sum is from its bfloat16 number, given one of the two.

    One step of bfloat16 numbers, 2u of either, as if sums were cut off and not rounded to the
    nearest. So a sum is no less than its number ``scores`` minus this; and if it is no less than
    a bound ``scores``, its number is no less than that bound minus this.
    """
    return (2.04 * UNIT * scores.abs()).clamp_(max=TOP_STEP)


@contextmanager
def _summed_in_float32() -> Iterator[None]:
    """Keep cuBLAS from splitting sums and adding up the parts in bfloat16."""
    matmul = torch.backends.cuda.matmul
    with _SETTING:
        before = matmul.allow_bf16_reduced_precision_reduction
        matmul.allow_bf16_reduced_precision_reduction = False
        try:
            yield
        finally:
            matmul.allow_bf16_reduced_precision_reduction = before
