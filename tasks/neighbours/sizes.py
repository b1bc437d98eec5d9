"""By what the search for neighbours may be tuned; none of it changes what is found."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """One set of sizes. It is passed along, and workers get it with their jobs."""

    cell_rows: int = 32
    """Rows a cell at most. More make fewer cells and looser bounds."""
    piece_rows: int = 2**15
    """Rows at most whose neighbours a worker seeks at once: after each, progress is told."""
    piece_values: int = 2**24
    """Numbers in their vectors at most, where these are fewer rows: 32 MiB of int16."""
    read_rows: int = 2**13
    """Rows of others at most that are read together."""
    read_values: int = 2**22
    """Numbers in their vectors at most, where these are fewer rows: 8 MiB of int16."""
    group_rows: int = 256
    """Rows that are compared with the same others at once, unless that forms too many products."""
    group_products: float = 2.0
    """How many times as many as cell by cell is too many."""
    gpu_group_rows: int = 2**13
    """Rows that a GPU compares with the same others at once, however many products that forms."""
    tile_values: int | None = None
    """Scores formed at a time; None for what `lattice` finds best on the device."""

    def piece_of(self, dim: int) -> int:
        """Rows a piece, of vectors of ``dim``."""
        return max(1, min(self.piece_rows, self.piece_values // dim))

    def read_of(self, dim: int) -> int:
        """Rows read together, of vectors of ``dim``."""
        return max(1, min(self.read_rows, self.read_values // dim))


DEFAULT_SIZES: Final = Sizes()
