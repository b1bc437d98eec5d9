"""`descriptor`: a frame embedder without learned weights.

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
Each group is scaled to unit length and weighted by WEIGHTS.  All sums are of integers, and floats
meet only in elementwise float64 square roots, products and quotients, each rounded the one way
IEEE 754 allows: the same frame gives the same bits in any batch, thread count and device.
"""

from __future__ import annotations

import functools
import itertools

from coreframe.tasks.errors import UsageError
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.pixels import Framing

VERSION = "2"
DEFAULT_INPUT_PX = 64

GRID = 32  # the working grid: 64 px and 128 px frames describe alike, and 1024 points are fast
SHAPE_CELLS, LAYOUT_CELLS = 8, 4  # finer shape tells scenes apart, coarser layout forgives pans
DIRECTIONS = 8
# Bin centres.  Luma is spread evenly; real colours crowd near grey, so the opponent bins do too.
LUMA = (0, 51, 102, 153, 204, 255)
OPPONENT = (-60, -16, 0, 16, 60)
WEIGHTS = (0.8, 0.6, 1.0)  # shape, layout, palette: a broad optimum, the palette leads

_SHAPE = SHAPE_CELLS * SHAPE_CELLS * DIRECTIONS
_LAYOUT = LAYOUT_CELLS * LAYOUT_CELLS * 3
_PALETTE = len(LUMA) * len(OPPONENT) * len(OPPONENT)
DIM = _SHAPE + _LAYOUT + _PALETTE

# Values are kept as integers, in units of 1 / UNIT of a grey level.
UNIT = 16
# A gradient below one grey level over its two grid steps is rounding or banding, and counts as 0.
NOISE = UNIT
# Gradient mass lent to every frame's shape group, four grey levels a grid point, before it is
# scaled to unit length: black, faded and plain frames get a short shape group, not loud noise.
FAINT = 4 * GRID * GRID * UNIT
# Grey lent to every colour of the layout, in grey levels: near black, the direction of a colour
# vector is noise, and this pulls all dark frames to the same grey.
PEDESTAL = 16
SHARE = 64  # a grid point is split between two bins of a channel in 64ths
ROOT = 64  # square roots are kept as integers in 64ths


class DescriptorEmbedder:
    """The descriptor as :class:`coreframe.tasks.embedders.embedder.Embedder`."""

    dim = DIM
    fingerprint = f"descriptor-{VERSION}"

    def __init__(self, input_px: int | None = None) -> None:
        """Take frames of ``input_px`` (a multiple of 32) a side, 64 by default.

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

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """See :func:`describe`."""
        return describe(images)


def describe(images: torch.Tensor) -> torch.Tensor:
    """uint8 (batch, S, S, 3) RGB -> float64 unit vectors (batch, DIM), on the same device.

    S is a positive multiple of 32.  A constant frame has a zero shape group; its layout and
    palette still tell its colour, and no frame, black included, makes a zero or a NaN.
    """
    _check(images)
    batch, size = images.shape[0], images.shape[1]
    step = size // GRID
    # (batch, 32, 32, 3) int32, colour means in 1/16 grey levels.
    total = images.reshape(batch, GRID, step, GRID, step, 3).sum((2, 4), dtype=torch.int32)
    area = step * step
    colour = torch.div(total * UNIT + area // 2, area, rounding_mode="floor")
    red, green, blue = colour.unbind(-1)
    luma = (77 * red + 150 * green + 29 * blue) >> 8  # BT.601 in 256ths

    shape = _shape(luma)
    cell = GRID // LAYOUT_CELLS
    layout = colour.reshape(batch, LAYOUT_CELLS, cell, LAYOUT_CELLS, cell, 3)
    layout = (layout + PEDESTAL * UNIT).sum((2, 4), dtype=torch.int64).reshape(batch, _LAYOUT)
    palette = _palette(luma, red - green, blue - ((red + green) >> 1))
    groups = ((_root(shape), FAINT * ROOT * ROOT), (layout, 0), (_root(palette), 0))
    parts = [_unit(values, extra) * w for (values, extra), w in zip(groups, WEIGHTS, strict=True)]
    # 2**20 steps to the unit: integers again, so that their squares add up exactly.
    joined = torch.round(torch.cat(parts, 1) * 2.0**20).to(torch.int64)
    return _unit(joined, 0)


def _check(images: torch.Tensor) -> None:
    """ValueError unless ``images`` is what `describe` takes."""
    found = f"{images.dtype} {tuple(images.shape)}"
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected torch.uint8 (batch, S, S, 3), got {found}")
    if images.shape[1] != images.shape[2] or images.shape[1] < GRID or images.shape[1] % GRID:
        raise ValueError(f"expected square frames, S a multiple of {GRID}, got {found}")


def _shape(luma: torch.Tensor) -> torch.Tensor:
    """int32 (batch, 32, 32) luma -> int64 (batch, 512) gradient magnitude by cell, direction."""
    batch = luma.shape[0]
    # The border row and column have no neighbour on one side and stay 0.
    dx, dy = torch.zeros_like(luma), torch.zeros_like(luma)
    dx[:, :, 1:-1] = luma[:, :, 2:] - luma[:, :, :-2]
    dy[:, 1:-1] = luma[:, 2:] - luma[:, :-2]
    square = (dx * dx + dy * dy).double()
    size = torch.floor(torch.sqrt(square)).to(torch.int64)
    size = (size - NOISE).clamp_(min=0)

    # Eight sectors of 45 degrees around 0, 45, ...; tan(22.5 degrees) is 0.41421 = 408 / 985.
    ax, ay = dx.abs(), dy.abs()
    flat, steep = 985 * ay <= 408 * ax, 985 * ax <= 408 * ay
    right, down = dx > 0, dy > 0
    slanted = torch.where(down, torch.where(right, 1, 3), torch.where(right, 7, 5))
    sector = torch.where(steep, torch.where(down, 2, 6), slanted)
    sector = torch.where(flat, torch.where(right, 0, 4), sector)

    return _scatter(_cells(luma.device) * DIRECTIONS + sector, size, batch, _SHAPE)


def _cells(device: torch.device) -> torch.Tensor:
    """int64 (32, 32): the number of the shape cell in which each grid point lies."""
    along = torch.arange(GRID, device=device) // (GRID // SHAPE_CELLS)
    return along[:, None] * SHAPE_CELLS + along[None, :]


def _palette(luma: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Three int32 (batch, 32, 32) channels -> int64 (batch, 150) soft joint histogram."""
    batch = luma.shape[0]
    bins = torch.zeros(1, dtype=torch.int64, device=luma.device)
    share = torch.ones_like(bins)
    # Each channel splits every entry so far between its lower and upper bin: 1, 2, 4, 8 entries.
    for values, centres in ((luma, LUMA), (first, OPPONENT), (second, OPPONENT)):
        index = values.reshape(batch, 1, GRID * GRID) - centres[0] * UNIT
        index = index.clamp_(0, (centres[-1] - centres[0]) * UNIT)
        lower, upper = (table.to(luma.device)[index] for table in _split(centres))
        bins = bins * len(centres) + lower
        bins = torch.cat((bins, bins + 1), 1)
        share = torch.cat((share * (SHARE - upper), share * upper), 1)
    return _scatter(bins, share, batch, _PALETTE)


@functools.cache
def _split(centres: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Bin centres -> for each value from the first centre on, its lower bin and upper share."""
    lower, upper = [], []
    for number, (start, stop) in enumerate(itertools.pairwise(centres)):
        width = (stop - start) * UNIT
        lower += [number] * width
        upper += [step * SHARE // width for step in range(width)]
    # The last centre itself: all of it in the upper bin of the last pair.
    return torch.tensor([*lower, len(centres) - 2]), torch.tensor([*upper, SHARE])


def _scatter(bins: torch.Tensor, values: torch.Tensor, batch: int, size: int) -> torch.Tensor:
    """int64 (batch, ...) bins and values -> int64 (batch, size) sums; exact in any order."""
    out = torch.zeros(batch, size, dtype=torch.int64, device=values.device)
    return out.scatter_add_(1, bins.flatten(1), values.flatten(1))


def _root(values: torch.Tensor) -> torch.Tensor:
    """int64 >= 0 -> int64 square roots, in 1 / ROOT."""
    return torch.round(torch.sqrt(values.double()) * ROOT).to(torch.int64)


def _unit(values: torch.Tensor, extra: int) -> torch.Tensor:
    """int64 (batch, n) -> float64 (batch, n), divided by sqrt(length ** 2 + extra)."""
    square = (values * values).sum(1, keepdim=True) + extra
    return values.double() / torch.sqrt(square.double())
