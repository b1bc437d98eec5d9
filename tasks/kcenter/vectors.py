"""The vectors of a partition: read when first needed, kept in memory as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.loading import Span, copies_to, load_ahead
from coreframe.tasks.kcenter.sketch import Sketch
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.lattice import on_device, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE


class Source(Protocol):
    """Where vectors come from. It travels between workers instead of them."""

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """(stop - start, dim) int16 lattice of the partition's places ``start`` to ``stop``.

        Args:
            start: the first.
            stop: the one after the last.
            into: an array to be filled with them, if they are wanted there.
        """
        ...


def mean_vectors(
    read: Callable[[NDArray[np.int64]], NDArray[np.int16]], length: int
) -> Callable[..., NDArray[np.int16]]:
    """Let a reader of rows read units: the mean of each unit's vectors, of unit length again.

    The sums are exact and the rest is float64, one vector at a time, so it is the same everywhere.

    Args:
        read: gives the (k, dim) int16 lattice vectors of k rows.
        length: rows a unit.
    """

    def read_units(
        units: NDArray[np.int64], into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        rows = (units[:, None] + np.arange(length)[None, :]).ravel()
        vectors = read(rows)
        total = vectors.reshape(len(units), length, vectors.shape[1]).sum(axis=1, dtype=np.int64)
        norm = np.sqrt((total**2).sum(axis=1, keepdims=True).astype(np.float64))
        means = np.rint(total / np.maximum(norm, 1) * SCALE)
        if into is None:
            return means.astype(np.int16)
        into[:] = means
        return into

    return read if length == 1 else read_units


class ArraySource:
    """A source in memory: for tests and small corpora."""

    def __init__(self, vectors: NDArray[np.int16]) -> None:
        self._vectors = vectors

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        if into is None:
            return self._vectors[start:stop]
        into[:] = self._vectors[start:stop]
        return into


class Chunk(NamedTuple):
    """Some of the places asked for, with the vectors at hand."""

    asked: slice
    """Which of the places asked for these are."""
    vectors: torch.Tensor
    """(anything, dim) int16 lattice, on the device."""
    places: torch.Tensor
    """(asked,) int64: where in ``vectors`` each of them lies."""


class Vectors:
    """Lattice vectors of the rows of a partition, by place (0 to the partition's length).

    Blocks are read once and kept, as many as fit; the others are read anew each time they are
    needed, which selection keeps rare. A copy sent elsewhere starts with nothing read.

    Attributes:
        norms: (n,) int32 squared lengths on the device; of the blocks read so far.
        tuning: how they are read, and how partitions of them are worked on.
    """

    def __init__(
        self,
        source: Source,
        edges: Sequence[int] | NDArray[np.int64],
        dim: int,
        device: torch.device,
        kept_rows: int | None = None,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        """Read nothing yet.

        Args:
            source: what to read from.
            edges: the places at which blocks begin, and at last the number of places.
            dim: numbers a vector.
            device: where vectors are kept and handed out.
            kept_rows: rows that may stay in memory; all of them by default.
            tuning: how they are read, and how partitions of them are worked on.
        """
        self._source, self._edges, self._dim = source, np.asarray(edges, np.int64), dim
        self._device, self._kept_rows, self.tuning = device, kept_rows, tuning
        rows = int(self._edges[-1])
        most = rows if kept_rows is None else kept_rows
        self._kept_blocks = int(np.searchsorted(self._edges, most, side="right")) - 1
        self._kept = torch.empty(
            (int(self._edges[self._kept_blocks]), dim), dtype=torch.int16, device=device
        )
        self._read = np.zeros(len(self._edges) - 1, bool)
        self.norms = torch.zeros(rows, dtype=torch.int32, device=device)
        self._sketch: Sketch | None = None
        self._sketches = torch.empty((0, 0), dtype=torch.int16, device=device)
        self._sketch_norms = torch.empty(0, dtype=torch.int32, device=device)
        self._sketched = np.zeros(len(self._edges) - 1, bool)

    @classmethod
    def from_array(cls, vectors: NDArray[np.int16], device: torch.device) -> Vectors:
        """Wrap an (n, dim) lattice array."""
        return cls(ArraySource(vectors), [0, len(vectors)], vectors.shape[1], device)

    def __reduce__(self) -> tuple[type[Vectors], tuple[Any, ...]]:
        made_from = self._source, self._edges, self._dim, self._device, self._kept_rows
        return Vectors, (*made_from, self.tuning)

    def __sizeof__(self) -> int:
        each = (self._kept, self._sketches, self._sketch_norms, self.norms)
        return sum(tensor.nbytes for tensor in each)

    def __len__(self) -> int:
        return len(self.norms)

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dim(self) -> int:
        return self._dim

    def chunks(self, places: torch.Tensor | None = None) -> Iterator[Chunk]:
        """Go through ascending places (all by default), in chunks that are in memory at once."""
        if places is None:
            places = torch.arange(len(self), device=self._device)
        if len(self._kept) == len(self) and self._read.all():
            yield Chunk(slice(0, len(places)), self._kept, places)
            return
        asked = places.cpu().numpy()
        if len(asked) == 0:
            return
        blocks = np.searchsorted(self._edges, asked, side="right") - 1
        needed = np.unique(blocks)
        kept = needed[needed < self._kept_blocks]
        self._load_kept(kept[~self._read[kept]])
        stop = int(np.searchsorted(asked, len(self._kept)))
        if stop:
            yield Chunk(slice(0, stop), self._kept, places[:stop])
        passing = needed[needed >= self._kept_blocks]
        for group in self._groups(passing):
            start, stop = stop, int(np.searchsorted(asked, self._edges[group[-1] + 1]))
            sizes = self._edges[group + 1] - self._edges[group]
            first = np.cumsum(sizes) - sizes
            vectors = self._kept.new_empty((int(sizes.sum()), self._dim))
            done = 0
            for begin, end in self._runs(group):
                some = self._load(begin, end)
                vectors[done : done + len(some)] = some
                done += len(some)
            shift = first - self._edges[group]
            index = asked[start:stop] + shift[np.searchsorted(group, blocks[start:stop])]
            yield Chunk(slice(start, stop), vectors, on_device(index, self._device))

    def at(self, places: torch.Tensor) -> torch.Tensor:
        """(len(places), dim) int16 lattice at ascending places."""
        found = torch.empty((len(places), self._dim), dtype=torch.int16, device=self._device)
        for asked, vectors, index in self.chunks(places):
            found[asked] = vectors.index_select(0, index)
        return found

    def sketches(self, sketch: Sketch, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Make the sketches at ascending places; they are kept for all blocks once read.

        Returns:
            (n, q) int16 sketches and (n,) int32 their squared lengths, by place: valid at those
            asked for, so far.
        """
        if sketch is not self._sketch:
            self._sketch = sketch
            length = sketch.length(self._dim)
            self._sketches = self._kept.new_empty((len(self), length))
            self._sketch_norms = torch.empty_like(self.norms)
            self._sketched[:] = False
        if not self._sketched.all():
            edges = on_device(self._edges[1:].copy(), self._device)
            blocks = torch.searchsorted(edges, places, right=True)
            needed = torch.unique_consecutive(blocks).cpu().numpy()
            for first, last in self._runs(needed[~self._sketched[needed]]):
                self._make_sketches(sketch, first, last)
        return self._sketches, self._sketch_norms

    def _make_sketches(self, sketch: Sketch, first: int, last: int) -> None:
        start, stop = int(self._edges[first]), int(self._edges[last])
        in_memory = last <= self._kept_blocks and self._read[first:last].all()
        sketches = sketch(self._kept[start:stop] if in_memory else self._load(first, last))
        self._sketches[start:stop] = sketches
        self._sketch_norms[start:stop] = squared_norms(sketches, self.tuning.tile_values)
        self._sketched[first:last] = True

    def _load_kept(self, blocks: NDArray[np.int64]) -> None:
        """Read ascending blocks that are to be kept."""
        if self._device.type not in self.tuning.loading_devices:
            for first, last in self._runs(blocks):
                self._load(first, last)
            return
        rows, spans = self.tuning.rows_read_together(self._dim), []
        for first, last in self._runs(blocks):
            begin, end = int(self._edges[first]), int(self._edges[last])
            for start in range(begin, end, rows):  # a block may have more
                stop = min(start + rows, end)
                spans.append(Span(start, stop, self._kept[start:stop]))
        copies, threads = copies_to(self._device), self.tuning.loading_threads
        for start, stop, vectors in load_ahead(self._source, spans, copies, threads):
            self.norms[start:stop] = squared_norms(vectors, self.tuning.tile_values)
            first, last = np.searchsorted(self._edges, (start, stop), side="right") - 1
            self._read[first:last] = True  # those that end here or before

    def _load(self, first: int, last: int) -> torch.Tensor:
        """Read the blocks from ``first`` to before ``last``."""
        start, stop = int(self._edges[first]), int(self._edges[last])
        kept = self._kept[start:stop]
        if self._device.type == "cpu" and last <= self._kept_blocks:
            self._source.read(start, stop, into=kept.numpy())  # no copy, no fresh memory
            vectors = kept
        else:
            vectors = on_device(self._source.read(start, stop), self._device)
        if not self._read[first:last].all():
            self.norms[start:stop] = squared_norms(vectors, self.tuning.tile_values)
            self._read[first:last] = True
            if vectors is not kept:
                kept.copy_(vectors[: len(kept)])
        return vectors

    def _runs(self, blocks: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Split ascending blocks into runs side by side, of about as many rows as a chunk."""
        for group in self._groups(blocks):
            for run in np.split(group, np.flatnonzero(np.diff(group) > 1) + 1):
                yield int(run[0]), int(run[-1]) + 1

    def _groups(self, blocks: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split blocks into runs of about as many rows as a chunk may have, or of one block."""
        if len(blocks) == 0:
            return
        rows = np.cumsum(self._edges[blocks + 1] - self._edges[blocks])
        most = self.tuning.rows_read_together(self._dim)
        cuts = np.flatnonzero(np.diff((rows - 1) // most)) + 1
        for start, stop in pairwise([0, *cuts, len(blocks)]):
            yield blocks[start:stop]
