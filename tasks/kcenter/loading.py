"""Vectors on their way to a device: some are read while others are copied and worked on.

A copy from memory that may be moved goes at a few gigabytes a second and nobody else works
meanwhile. From pinned memory a GPU fetches them by itself, several times as fast. Such memory takes
long to be made, so there are few buffers, used in turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lazy import torch


class Readable(Protocol):
    """The part of `coreframe.tasks.kcenter.vectors.Source` that is needed here."""

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """Fill ``into`` with the vectors of the places ``start`` to ``stop``; in any thread."""
        ...


class Span(NamedTuple):
    """Places side by side, and where their vectors belong."""

    start: int
    stop: int
    into: torch.Tensor
    """(stop - start, dim) int16 on the device."""


class Copies(Protocol):
    """How vectors get from here to a device."""

    def empty(self, rows: int, dim: int) -> torch.Tensor:
        """(rows, dim) int16 here, from which copies are made."""
        ...

    def copy(self, into: torch.Tensor, staged: torch.Tensor) -> Callable[[], None]:
        """Begin a copy; whatever the device is told to do from now on comes after it.

        Returns:
            What waits for its end, after which ``staged`` may be written to.
        """
        ...


class PlainCopies:
    """Copies that are over when they return: to a CPU's memory, and in tests."""

    def empty(self, rows: int, dim: int) -> torch.Tensor:
        return torch.empty((rows, dim), dtype=torch.int16)

    def copy(self, into: torch.Tensor, staged: torch.Tensor) -> Callable[[], None]:
        into.copy_(staged)
        return lambda: None


class CudaCopies:
    """Copies that a GPU makes beside its other work, from pinned memory."""

    def __init__(self, device: torch.device) -> None:
        """Let them come after what the device was told so far: it may still use that memory."""
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))

    def empty(self, rows: int, dim: int) -> torch.Tensor:
        return torch.empty((rows, dim), dtype=torch.int16, pin_memory=True)

    def copy(self, into: torch.Tensor, staged: torch.Tensor) -> Callable[[], None]:
        with torch.cuda.stream(self._stream):
            into.copy_(staged, non_blocking=True)
        copied = self._stream.record_event()
        torch.cuda.current_stream(self._device).wait_event(copied)
        return copied.synchronize


def copies_to(device: torch.device) -> Copies:
    """How vectors get to a device."""
    return CudaCopies(device) if device.type == "cuda" else PlainCopies()


def load_ahead(
    source: Readable, spans: Sequence[Span], copies: Copies, threads: int
) -> Iterator[Span]:
    """Read spans onto a device, some of them ahead.

    No thread is left when it ends, in whatever way. What a reading thread raises is raised here,
    in the order of the spans.

    Args:
        source: what to read from.
        spans: what to read.
        copies: how it gets to the device.
        threads: that read at once. There is a buffer for each and one more, which is copied.

    Yields:
        Each span, in order: the device has its vectors for whatever it is told to do then.
    """
    if not spans:
        return
    rows = max(span.stop - span.start for span in spans)
    count = min(threads + 1, len(spans))
    buffers = [copies.empty(rows, spans[0].into.shape[1]) for _ in range(count)]
    copied: list[Callable[[], None]] = [lambda: None] * count
    coming: deque[tuple[int, Future[torch.Tensor]]] = deque()

    def read(span: Span, wait: Callable[[], None], buffer: torch.Tensor) -> torch.Tensor:
        wait()
        staged = buffer[: span.stop - span.start]
        source.read(span.start, span.stop, staged.numpy())
        return staged

    def delivered() -> Span:
        number, future = coming.popleft()
        copied[number % count] = copies.copy(spans[number].into, future.result())
        return spans[number]

    pool = ThreadPoolExecutor(threads, "reading-vectors")
    try:
        for number, span in enumerate(spans):
            if len(coming) == count:
                yield delivered()
            own = number % count
            coming.append((number, pool.submit(read, span, copied[own], buffers[own])))
        while coming:
            yield delivered()
    finally:
        pool.shutdown(cancel_futures=True)
