"""Products in bfloat16, which rule out most rows before the exact ones.

Processors with matrix units multiply bfloat16 numbers several times as fast as float32 ones, and
add the products up in float32. The scores that come out are not exact, but how far they are off is
known, so a row that they show to be farther from all targets than it is from its own center needs
no exact product. What is left gets one, so results do not depend on where this is done.
"""

from __future__ import annotations

from collections.abc import Iterator

from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.lattice import Targets
from coreframe.tasks.lazy import torch

UNIT = 2.0**-8
"""Share of a number by which rounding it to the 8 significant bits of bfloat16 may change it."""


def screen_pays(device: torch.device, tuning: Tuning) -> bool:
    """Whether bfloat16 products are so much faster on a device that this pays."""
    if device.type != "cpu":
        return False
    if tuning.bfloat16_screen is not None:
        return tuning.bfloat16_screen
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


class Bfloat16Screen:
    """Finds the rows that may be nearer to some targets than to their centers."""

    def __init__(self, dim: int, targets: int, tuning: Tuning) -> None:
        """Allocate what it works with.

        Args:
            dim: of the vectors.
            targets: at most that it is given.
            tuning: how many rows and targets are multiplied together.
        """
        self._at_once = tuning.screen_product_rows
        self._product_targets = tuning.screen_product_targets
        self._group = tuning.screen_group_targets
        most = -(-targets // self._group) * self._group
        self._targets = torch.zeros((most, dim), dtype=torch.bfloat16)
        self._integers = torch.empty((self._at_once, dim), dtype=torch.int16)
        self._rows = torch.zeros((self._at_once, dim), dtype=torch.bfloat16)
        scores = min(most, self._product_targets) * self._at_once
        self._scores = torch.empty(scores, dtype=torch.bfloat16)

    def remaining(
        self,
        targets: Targets,
        vectors: torch.Tensor,
        places: torch.Tensor,
        norms: torch.Tensor,
        squared: torch.Tensor,
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Find the rows that may be nearer to some targets than ``squared``.

        With u the unit of rounding, x' and c' rounded, x.c - x'.c' is at most |x - x'| |c| +
        |x'| |c - c'| <= |x| (u |c'| + (1 + 2u) |c - c'|), by Cauchy and Schwarz. The sum x'.c' is
        exact as those of `tasks.lattice` are, for (1 + u)^2 4064^2 < 2^24, and rounded once.

        Args:
            targets: the targets.
            vectors: (anything, dim) int16 lattice.
            places: (n,) int64, where the rows' vectors lie among these.
            norms: (n,) int32 squared lengths of the rows.
            squared: (n,) int32 squared distances of the rows to their centers.

        Yields:
            A slice of the targets, one group or less, and the (r,) int64 ascending positions,
            among the rows given, of those that may be nearer to one of them.
        """
        group, at_once = self._group, self._at_once
        count, groups = len(targets), -(-len(targets) // group)
        rounded = self._targets[: groups * group]
        rounded[:count] = targets.wide
        rounded[count:] = targets.wide[-1]  # the last once more, and once more
        wide = rounded[:count].float()
        length = wide.square().sum(dim=1).max().sqrt()
        off = wide.sub_(targets.wide).square_().sum(dim=1).max().sqrt()
        # of each group, as the bits of bfloat16 numbers: see _highest
        best = torch.empty((groups, len(places)), dtype=torch.int16)
        for start in range(0, len(places), at_once):
            own = places[start : start + at_once]
            integers = self._integers[: len(own)]
            torch.index_select(vectors, 0, own, out=integers)
            self._rows[: len(own)].copy_(integers)
            for first in range(0, groups * group, self._product_targets):
                some = rounded[first : first + self._product_targets]
                scores = self._scores[: len(some) * at_once].view(len(some), at_once)
                torch.mm(some, self._rows.T, out=scores)
                highest = _highest(scores.view(-1, group, at_once), dim=1)
                at = slice(first // group, first // group + len(highest))
                best[at, start : start + at_once] = highest[:, : len(own)]
        # 1.02 covers powers of u; 3 the rounding of these lines, in which offsets are large where
        # vectors are far from unit length
        error = norms.float().sqrt() * (1.02 * (UNIT * length + off)) + 3
        top = _highest(best, dim=0).view(torch.bfloat16).float()
        reached = top - top.abs() * (1.02 * UNIT) - error + targets.offset.min()
        least = torch.maximum(reached, Targets.least_score(norms, squared))
        least = (least - error - targets.offset.max()) / (1 + 1.02 * UNIT)
        for number, reach in enumerate(best >= _at_least(least)):
            found = torch.nonzero(reach).flatten()
            if len(found):
                start = number * group
                yield slice(start, min(start + group, count)), found


def _highest(scores: torch.Tensor, dim: int) -> torch.Tensor:
    """The bits (int16) of the highest bfloat16 along ``dim``, or of any where all are negative.

    Those of positive numbers are in order, and above those of negative ones, which are in reverse;
    whole numbers are compared five times as fast.
    """
    return scores.view(torch.int16).amax(dim=dim)


def _at_least(bounds: torch.Tensor) -> torch.Tensor:
    """Bits (int16) that :func:`_highest` gives no less than, where a number reaches a bound.

    Args:
        bounds: (n,) float32; where one is negative, or just above 0, all reach it.
    """
    bits = (bounds.view(torch.int32) >> 16).to(torch.int16)  # bfloat16, rounded towards 0
    return torch.where(bounds > 0, bits, -(2**15)).to(torch.int16)
