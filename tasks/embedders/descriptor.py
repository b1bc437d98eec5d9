"""`descriptor` and `descriptor-3`: frame embedders without learned weights.

Every frame is first averaged to a 32 x 32 grid, so the result depends little on the input size,
on noise or on small motion.  Three groups are made of that grid:

* shape (8 x 8 cells x 8 directions): gradient magnitude of the luma by signed direction.  A coarse
  gradient told shots apart better than a fine one, and signed directions better than unsigned.
* layout (4 x 4 cells x 3): the mean colour of each cell.  Uncentred, so that it also keeps dark,
  plain and bright frames a bounded distance apart.
* palette (6 x 5 x 5 bins): how much of the frame has which luma and which two opponent colours,
  with linear weights between bins so that flicker moves it smoothly.  It ignores where things
  are, so pans and moving people hardly change it; this is the strongest group by itself.

Shape and palette take square roots (Hellinger distance: large areas do not drown small ones).
Each group is scaled to unit length and weighted.  All sums are of integers, and floats
meet only in elementwise float64 square roots, products and quotients, each rounded the one way
IEEE 754 allows: the same frame gives the same bits in any batch, thread count and device.

A :class:`Recipe` has the numbers. One that has been published stays as it is, under its name: a
store is extended with the recipe that it was made with.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from coreframe.tasks.embedders.names import DESCRIPTOR, EARLIER_DESCRIPTOR
from coreframe.tasks.errors import UsageError
from coreframe.tasks.lattice import square_roots
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.pixels import Framing

DEFAULT_INPUT_PX = 64

GRID = 32  # the working grid: 64 px and 128 px frames describe alike, and 1024 points are fast
SHAPE_CELLS, LAYOUT_CELLS = 8, 4  # finer shape tells scenes apart, coarser layout forgives pans
DIRECTIONS = 8
_SHAPE = SHAPE_CELLS * SHAPE_CELLS * DIRECTIONS
_LAYOUT = LAYOUT_CELLS * LAYOUT_CELLS * 3
_PALETTE = 6 * 5 * 5
DIM = _SHAPE + _LAYOUT + _PALETTE

POOLED_STEP = 4
"""Pixels a grid point up to which they are added up as floats, which is faster; larger frames
would take four times their memory."""

# Values are kept as integers, in units of 1 / UNIT of a grey level.
UNIT = 16
SHARE = 64  # a grid point is split between two bins of a channel in 64ths
ROOT = 64  # square roots are kept as integers in 64ths


@dataclass(frozen=True)
class Recipe:
    """The numbers of one version, in grey levels.

    Attributes:
        fingerprint: names it in stores.
        noise: a gradient below this over its two grid steps is rounding or banding, and counts as
            0.
        faint: gradient mass lent to every grid point before the shape group is scaled to unit
            length: black, faded and plain frames get a short one, not loud noise.
        pedestal: grey lent to every colour of the layout: near black, the direction of a colour
            vector is noise, and this pulls all dark frames to the same grey.
        luma: six bin centres of the palette.
        opponent: five bin centres of both opponent colours: real ones crowd near grey.
        weights: of shape, layout and palette: a broad optimum, the palette leads.
    """

    fingerprint: str
    noise: int
    faint: int
    pedestal: int
    luma: tuple[int, ...]
    opponent: tuple[int, ...]
    weights: tuple[float, float, float]


EVEN = Recipe(
    "descriptor-2", 1, 4, 16, (0, 51, 102, 153, 204, 255), (-60, -16, 0, 16, 60), (0.8, 0.6, 1.0)
)
"""Of the first stores."""

DARKER = Recipe(
    "descriptor-3", 2, 2, 8, (0, 12, 34, 71, 138, 255), (-60, -16, 0, 16, 60), (0.7, 0.7, 1.0)
)
"""Its bins of luma lie closer in the dark, as steps that look alike do: it tells more shots apart,
those of a night among them."""

RECIPES = {EARLIER_DESCRIPTOR: EVEN, DESCRIPTOR: DARKER}


class DescriptorEmbedder:
    """The descriptor as :class:`coreframe.tasks.embedders.embedder.Embedder`."""

    dim = DIM

    def __init__(self, input_px: int | None = None, name: str = DESCRIPTOR) -> None:
        """Take frames of ``input_px`` (a multiple of 32) a side, 64 by default.

        Args:
            input_px: see above.
            name: of the recipe.

        Raises:
            UsageError: the size is no multiple of 32.
        """
        side_px = DEFAULT_INPUT_PX if input_px is None else input_px
        if side_px < GRID or side_px % GRID:
            raise UsageError(
                f"input-size {side_px} is no multiple of {GRID}, which the descriptor needs: "
                f"use {DEFAULT_INPUT_PX}."
            )
        self.framing = Framing(side_px)
        self._recipe = RECIPES[name]

    @property
    def fingerprint(self) -> str:
        return self._recipe.fingerprint

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """See :func:`describe`."""
        return describe(images, self._recipe)


def describe(images: torch.Tensor, recipe: Recipe = DARKER) -> torch.Tensor:
    """uint8 (batch, S, S, 3) RGB -> float64 unit vectors (batch, DIM), on the same device.

    S is a positive multiple of 32.  A constant frame has a zero shape group; its layout and
    palette still tell its colour, and no frame, black included, makes a zero or a NaN.
    """
    _check(images)
    batch, size = images.shape[0], images.shape[1]
    step = size // GRID
    # (batch, 3, 32, 32) int32, colour means in 1/16 grey levels.
    total, area = _sums(images, step), step * step
    colour = torch.div(total * UNIT + area // 2, area, rounding_mode="floor")
    red, green, blue = colour.unbind(1)
    luma = (77 * red + 150 * green + 29 * blue) >> 8  # BT.601 in 256ths

    shape = _shape(luma, recipe.noise * UNIT)
    cells = _pooled(colour.float() + recipe.pedestal * UNIT, GRID // LAYOUT_CELLS)
    layout = cells.permute(0, 2, 3, 1).reshape(batch, _LAYOUT).long()
    channels = (luma, recipe.luma), (red - green, recipe.opponent)
    palette = _palette((*channels, (blue - ((red + green) >> 1), recipe.opponent)))
    faint = recipe.faint * GRID * GRID * UNIT * ROOT * ROOT
    groups = ((_root(shape), faint), (layout, 0), (_root(palette), 0))
    weighted = zip(groups, recipe.weights, strict=True)
    parts = [_unit(values, extra) * weight for (values, extra), weight in weighted]
    # 2**20 steps to the unit: integers again, so that their squares add up exactly.
    joined = torch.round(torch.cat(parts, 1) * 2.0**20).to(torch.int64)
    return _unit(joined, 0)


def _sums(images: torch.Tensor, step: int) -> torch.Tensor:
    """uint8 (batch, S, S, 3) -> int32 (batch, 3, 32, 32) sums over squares of ``step`` pixels."""
    if step <= POOLED_STEP:
        return _pooled(images.permute(0, 3, 1, 2).float(), step).int()
    squares = images.reshape(len(images), GRID, step, GRID, step, 3)
    return squares.sum((2, 4), dtype=torch.int32).permute(0, 3, 1, 2).contiguous()


def _pooled(planes: torch.Tensor, step: int) -> torch.Tensor:
    """Sums over squares of float planes that hold integers: exact, for they stay below 2^24."""
    return torch.nn.functional.avg_pool2d(planes, step, divisor_override=1)


def _check(images: torch.Tensor) -> None:
    """ValueError unless ``images`` is what `describe` takes."""
    found = f"{images.dtype} {tuple(images.shape)}"
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected torch.uint8 (batch, S, S, 3), got {found}")
    if images.shape[1] != images.shape[2] or images.shape[1] < GRID or images.shape[1] % GRID:
        raise ValueError(f"expected square frames, S a multiple of {GRID}, got {found}")


def _shape(luma: torch.Tensor, noise: int) -> torch.Tensor:
    """int32 (batch, 32, 32) luma -> int64 (batch, 512) gradient magnitude by cell, direction.

    Of every magnitude ``noise`` is taken off.
    """
    # The border row and column have no neighbour on one side and stay 0.
    dx, dy = torch.zeros_like(luma), torch.zeros_like(luma)
    torch.sub(luma[:, :, 2:], luma[:, :, :-2], out=dx[:, :, 1:-1])
    torch.sub(luma[:, 2:], luma[:, :-2], out=dy[:, 1:-1])
    size = (dx * dx + dy * dy).double().sqrt_().int()
    size = (size - noise).clamp_(min=0)

    # Eight sectors of 45 degrees around 0, 45, ...; tan(22.5 degrees) is 0.41421 = 408 / 985.
    ax, ay = dx.abs(), dy.abs()
    case = (985 * ay <= 408 * ax).int()  # flat
    case += (985 * ax <= 408 * ay).int() * 2  # steep
    case += (dx > 0).int() * 4 + (dy > 0).int() * 8
    sector = _sectors().to(luma.device).index_select(0, case.flatten()).view_as(case)
    return _scatter(_cells(luma.device) * DIRECTIONS + sector, size, _SHAPE)


@functools.cache
def _sectors() -> torch.Tensor:
    """int32 (16,): the sector of a gradient that is flat 1 + steep 2 + to the right 4 + down 8."""
    slanted = {0: 5, 4: 7, 8: 3, 12: 1}
    table = []
    for case in range(16):
        right, down = case & 4, case & 8
        sector = (2 if down else 6) if case & 2 else slanted[right + down]
        table.append((0 if right else 4) if case & 1 else sector)
    return torch.tensor(table, dtype=torch.int32)


def _cells(device: torch.device) -> torch.Tensor:
    """int32 (32, 32): the number of the shape cell in which each grid point lies."""
    along = torch.arange(GRID, dtype=torch.int32, device=device) // (GRID // SHAPE_CELLS)
    return along[:, None] * SHAPE_CELLS + along[None, :]


def _palette(channels: Sequence[tuple[torch.Tensor, tuple[int, ...]]]) -> torch.Tensor:
    """Three int32 (batch, 32, 32) channels, bin centres -> int64 (batch, 150) soft histogram."""
    luma = channels[0][0]
    batch, points = luma.shape[0], GRID * GRID
    bins = torch.zeros(batch, 8, points, dtype=torch.int32, device=luma.device)
    share = torch.ones_like(bins)
    count = 1
    # Each channel splits every entry so far between its lower and upper bin: 1, 2, 4, 8 entries.
    for values, centres in channels:
        index = values.reshape(batch, points) - centres[0] * UNIT
        index = index.clamp_(0, (centres[-1] - centres[0]) * UNIT).flatten()
        lower, upper = (
            table.to(luma.device).index_select(0, index).view(batch, 1, points)
            for table in _split(centres)
        )
        own, split = slice(0, count), slice(count, 2 * count)
        bins[:, own].mul_(len(centres)).add_(lower)
        torch.add(bins[:, own], 1, out=bins[:, split])
        torch.mul(share[:, own], upper, out=share[:, split])
        share[:, own].mul_(SHARE - upper)
        count *= 2
    return _scatter(bins, share, _PALETTE)


@functools.cache
def _split(centres: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Bin centres -> for each value from the first centre on, its lower bin and upper share."""
    lower, upper = [], []
    for number, (start, stop) in enumerate(itertools.pairwise(centres)):
        width = (stop - start) * UNIT
        lower += [number] * width
        upper += [step * SHARE // width for step in range(width)]
    # The last centre itself: all of it in the upper bin of the last pair.
    bins, shares = [*lower, len(centres) - 2], [*upper, SHARE]
    return torch.tensor(bins, dtype=torch.int32), torch.tensor(shares, dtype=torch.int32)


def _scatter(bins: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """int32 (batch, ...) bins and values -> int64 (batch, size) sums; exact in any order.

    The sums stay below 2^31: shares of a frame add up to 2^28, its gradients to less.
    """
    out = torch.zeros(len(values), size, dtype=torch.int32, device=values.device)
    return out.scatter_add_(1, bins.flatten(1).long(), values.flatten(1)).long()


def _root(values: torch.Tensor) -> torch.Tensor:
    """int64 >= 0 -> int64 square roots, in 1 / ROOT."""
    return torch.round(square_roots(values.double()) * ROOT).to(torch.int64)


def _unit(values: torch.Tensor, extra: int) -> torch.Tensor:
    """int64 (batch, n) -> float64 (batch, n), divided by sqrt(length ** 2 + extra)."""
    square = (values * values).sum(1, keepdim=True) + extra
    return values.double() / square_roots(square.double())
