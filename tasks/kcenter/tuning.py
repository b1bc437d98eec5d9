"""What selecting may be tuned by: sizes and shares that change its speed and memory.

None of them changes what is selected. Those constants that results or bounds depend on stand where
they are used.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tuning:
    """One set of sizes and shares. It is passed along, and workers get it with their jobs.

    "Values" are numbers in vectors or scores: rows times dim, or rows times targets.
    """

    # The pool of candidates, see `greedy` and `pool`.
    pool_rows: int = 4096
    """Candidates pooled in a pass at least. More make fewer passes, and more work per pick."""
    pool_values: int = 2**21
    """Values in a pool at most, where that is more candidates. The first passes are for a few
    picks each and use it all; it is halved once picks are so many that they cost the driver."""
    extending_factor: int = 4
    """Times ``pool_values`` where centers exist before. The picks then come from all new rows at
    once, and in one or two passes instead of five."""
    front_rows: int = 128
    """Candidates whose distances to one another are formed at once."""
    between_devices: frozenset[str] = frozenset({"cuda"})
    """Types of the devices which form these distances, if a process picks that has one."""
    device_front_rows: int = 4096
    """``front_rows`` where they do: mostly a whole pool. The distances of so many are 64 MiB that
    come back from the device."""
    refreshed_rows: int = 2048
    """Candidates at most that are brought up to date at once."""

    # Reading vectors and multiplying them, see `vectors` and `lattice`.
    chunk_rows: int = 8192
    """Rows at most that are read together, and dropped together, when they cannot be kept."""
    chunk_values: int = 2**22
    """Values in them at most: 8 MiB of int16."""
    loading_devices: frozenset[str] = frozenset({"cuda"})
    """Types of the devices onto which vectors to be kept are read ahead, see `loading`. On a CPU
    they are read to where they stay, with nothing to wait for meanwhile."""
    loading_threads: int = 4
    """That read ahead. One copies memory at a quarter of the speed at which a GPU fetches it."""
    tile_values: int | None = None
    """Values widened to float32, and scores formed, at a time; None for what `lattice` finds best
    on the device."""

    # Taking up new centers, see `assign`.
    first_centers_at_once: int = 64
    """New centers that a partition without any takes up first. Portions grow from there, since
    the first prune for the rest."""
    centers_at_once: int = 512
    """New centers taken up together. More prune worse, fewer take more passes."""
    unpruned_centers_at_once: int = 2048
    """The same where nothing can be pruned."""
    unpruned_values: int = 2**21
    """Values in these at most, unless ``centers_at_once`` of them are more."""

    # Ruling distances out before they are formed, see `pruning` and `assign`.
    pruning_devices: frozenset[str] = frozenset({"cpu"})
    """Types of the devices where it is tried. A GPU forms all products of a pass in less time than
    the many small steps of ruling them out take to start."""
    max_cells: int = 256
    """Cells of centers at most. More prune better and cost a few small products each, in every
    pass."""
    cell_rows: int = 1024
    """Rows a cell on average, in partitions too small for ``max_cells``."""
    few_centers: int = 8
    """New centers at most that are compared with all centers at once, without cells."""
    center_pairs_share: float = 0.25
    """Distances between centers per distance of a row that they might save: above, rows cost
    less."""
    dense_share: float = 0.7
    """Share of the (row, new center) pairs left above which all are formed."""
    dense_share_bfloat16: float = 0.1
    """The same where bfloat16 products are fast: above, ruling pairs out is left for a while."""
    tried_share: float = 0.1
    """Share of the rows from whose sketches it is seen whether more are worth being compared."""

    # Sketches, see `sketch`.
    sketch_sample_rows: int = 2048
    """Rows at most from which a partition's sketch is found."""
    sketch_sample_values: int = 2**21
    """Values in them at most."""
    sketch_lengths: tuple[int, ...] = (16, 32, 64)
    """Integers that a sketch may have, ascending."""
    sketch_enough_variance: float = 0.95
    """Share of the variance with which a sketch need not be longer."""
    sketch_least_variance: float = 0.9
    """Share without which it rules out too little to be worth making."""

    # The screen by bfloat16 products, see `bfloat16`.
    bfloat16_screen: bool | None = None
    """Whether there is one on a CPU; None for where its matrix units make it pay."""
    screen_least_rows: int = 256
    """Products with fewer rows are formed exactly at once."""
    screen_least_targets: int = 48
    """So are those with fewer targets."""
    screen_rows: int = 8192
    """Rows screened before any of them is compared exactly: what is noted of them takes memory."""
    screen_product_rows: int = 512
    """Rows that are multiplied together, always as many: each new shape costs milliseconds once."""
    screen_product_targets: int = 512
    """Targets at most that are multiplied together; a multiple of ``screen_group_targets``."""
    screen_group_targets: int = 64
    """Targets of which the nearest is found together. They are filled up to a multiple of this,
    for the same reason."""

    # The same on a GPU, see `pairs`.
    pairs_devices: frozenset[str] = frozenset({"cuda"})
    """Types of the devices where bfloat16 products are to leave single pairs."""
    pairs_least_targets: int = 16
    """Products with fewer targets are formed exactly at once: they only read the vectors."""
    pairs_values: int = 2**27
    """Values rounded, and scores formed, at a time: 256 MiB each. Of what is left a quarter as
    many are formed exactly at a time."""
    pairs_dense_share: float = 1 / 128
    """Of the pairs of the rows that are left, one a row aside: above, a product with all targets
    costs less than gathering the vectors of each pair."""

    def rows_read_together(self, dim: int) -> int:
        """Rows, of vectors of ``dim``, that are read together at most."""
        return max(1, min(self.chunk_rows, self.chunk_values // dim))

    def pool_rows_of(self, dim: int, extending: bool = False) -> int:
        """Candidates of the first pools, of vectors of ``dim``.

        Args:
            dim: numbers a vector.
            extending: whether centers exist before.
        """
        factor = self.extending_factor if extending else 1
        return max(self.pool_rows, factor * self.pool_values // dim)


DEFAULT_TUNING: Final = Tuning()
"""What was found best; frozen, so it may stand as the default of an argument."""
