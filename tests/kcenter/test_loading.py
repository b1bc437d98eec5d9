"""Vectors that are read ahead arrive where they belong, and nothing is left when it goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from coreframe.tasks.kcenter import loading
from coreframe.tasks.kcenter.job import StoredUnits
from coreframe.tasks.kcenter.loading import PlainCopies, Span, copies_to, load_ahead
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from coreframe.tasks.lattice import squared_norms
from tests.stores import make_store, walks

CPU = torch.device("cpu")
AHEAD = replace(DEFAULT_TUNING, loading_devices=frozenset({"cpu"}), chunk_rows=16)
LATTICE = walks(200, 8, 0)


class LateCopies(PlainCopies):
    """Copies that end long after they began, as on a GPU, and in this order."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "copying")
        self.made = 0

    def empty(self, rows: int, dim: int) -> torch.Tensor:
        self.made += 1
        return super().empty(rows, dim)

    def copy(self, into: torch.Tensor, staged: torch.Tensor) -> Callable[[], None]:
        def late() -> None:
            threading.Event().wait(0.01)
            into.copy_(staged)

        copied = self._pool.submit(late)
        return lambda: copied.result()

    def end(self) -> None:
        self._pool.shutdown()


def spans(found: torch.Tensor, rows: int = 16) -> list[Span]:
    edges = [*range(0, len(found), rows), len(found)]
    return [Span(a, b, found[a:b]) for a, b in pairwise(edges)]


def reading() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("reading-vectors")]


@pytest.mark.parametrize("threads", [1, 2, 4, 40])
def test_a_buffer_is_filled_again_only_when_it_is_copied(threads: int) -> None:
    found, copies = torch.zeros(200, 8, dtype=torch.int16), LateCopies()
    arrived = [span[:2] for span in load_ahead(ArraySource(LATTICE), spans(found), copies, threads)]
    copies.end()
    assert arrived == [span[:2] for span in spans(found)]
    assert np.array_equal(found.numpy(), LATTICE)
    assert copies.made == min(threads + 1, 13)
    assert reading() == []


class Waiting(ArraySource):
    """Reads only when a given number of reads are under way at once."""

    def __init__(self, together: int) -> None:
        super().__init__(LATTICE)
        self._all = threading.Barrier(together)

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        self._all.wait(timeout=20)
        return super().read(start, stop, into)


def test_as_many_are_read_at_once_as_there_are_threads() -> None:
    found = torch.zeros(192, 8, dtype=torch.int16)
    list(load_ahead(Waiting(3), spans(found), PlainCopies(), 3))
    assert np.array_equal(found.numpy(), LATTICE[:192])


class Broken(ArraySource):
    """Fails at one place."""

    def __init__(self, place: int, error: Exception) -> None:
        super().__init__(LATTICE)
        self._place, self._error, self.reads = place, error, 0

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        self.reads += 1
        if start <= self._place < stop:
            raise self._error
        return super().read(start, stop, into)


@pytest.mark.parametrize("place", [0, 77, 199])
def test_what_a_reading_thread_raises_is_raised_here(place: int) -> None:
    error = OSError("a bad sector")
    source = Broken(place, error)
    vectors = Vectors(source, range(0, 201, 10), 8, CPU, tuning=AHEAD)
    with pytest.raises(OSError, match="a bad sector") as raised:
        vectors.at(torch.arange(200))
    assert raised.value is error
    assert reading() == []
    assert source.reads <= place // 10 + 2 + AHEAD.loading_threads  # hardly any was read after it
    source._place = -1  # it is mended: what was read before is there, the rest is read now
    assert np.array_equal(vectors.at(torch.arange(200)).numpy(), LATTICE)
    assert torch.equal(vectors.norms, squared_norms(torch.from_numpy(LATTICE)))


def test_who_stops_half_way_leaves_no_thread() -> None:
    found = torch.zeros(200, 8, dtype=torch.int16)
    half = load_ahead(ArraySource(LATTICE), spans(found), PlainCopies(), 3)
    next(half)
    half.close()
    assert reading() == []


@pytest.mark.parametrize("edges", [[0, 200], [0, 1, 50, 51, 200], range(0, 201, 5)])
@pytest.mark.parametrize("kept_rows", [None, 100, 0])
def test_kept_blocks_are_read_once_whatever_their_size(edges: list[int], kept_rows: int) -> None:
    read: list[tuple[int, int]] = []

    class Noting(ArraySource):
        def read(
            self, start: int, stop: int, into: NDArray[np.int16] | None = None
        ) -> NDArray[np.int16]:
            read.append((start, stop))
            return super().read(start, stop, into)

    vectors = Vectors(Noting(LATTICE), edges, 8, CPU, kept_rows, AHEAD)
    some = torch.tensor([3, 77, 198])
    assert np.array_equal(vectors.at(some).numpy(), LATTICE[some])
    assert np.array_equal(vectors.at(torch.arange(200)).numpy(), LATTICE)
    assert torch.equal(vectors.norms, squared_norms(torch.from_numpy(LATTICE)))
    if kept_rows is None:
        assert np.bincount(np.concatenate([np.arange(*one) for one in read])).tolist() == [1] * 200
        assert max(stop - start for start, stop in read) <= 16


def test_units_of_a_store_are_read_in_several_threads(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", LATTICE, [120, 80], block_rows=16)
    source = StoredUnits(store.path, np.arange(200), 1)
    vectors = Vectors(source, [*range(0, 200, 16), 200], 8, CPU, tuning=AHEAD)
    assert np.array_equal(vectors.at(torch.arange(200)).numpy(), LATTICE)


@pytest.mark.gpu
def test_a_gpu_gets_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    lattice = walks(40_000, 64, 0)
    vectors = Vectors(
        ArraySource(lattice), [0, 9, 30_000, 40_000], 64, torch.device("cuda"), tuning=AHEAD
    )
    assert np.array_equal(vectors.at(torch.arange(40_000, device="cuda")).cpu().numpy(), lattice)
    assert torch.equal(vectors.norms.cpu(), squared_norms(torch.from_numpy(lattice)))


def test_a_gpu_copies_beside_its_other_work_and_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the two streams are told, and in which order; without a GPU."""
    told: list[str] = []

    class Event:
        def synchronize(self) -> None:
            told.append("host waits")

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append(f"{self.name} waits for {other.name}")

        def record_event(self) -> Event:
            told.append(f"{self.name} notes")
            return Event()

        def wait_event(self, event: Event) -> None:
            told.append(f"{self.name} waits")

        def __enter__(self) -> None:
            told.append(f"begin {self.name}")

        def __exit__(self, *_: object) -> None:
            told.append(f"end {self.name}")

    work, empty = Stream("work"), torch.empty
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: work)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    unpinned = lambda shape, dtype, pin_memory: empty(shape, dtype=dtype)  # noqa: E731
    monkeypatch.setattr(loading.torch, "empty", unpinned)
    copies = copies_to(torch.device("cuda"))
    found, staged = torch.zeros(3, 8, dtype=torch.int16), copies.empty(3, 8)
    staged.copy_(torch.from_numpy(LATTICE[:3]))
    wait = copies.copy(found, staged)
    assert np.array_equal(found.numpy(), LATTICE[:3])
    wait()
    assert told == [
        "side waits for work",
        "begin side",
        "end side",
        "side notes",
        "work waits",
        "host waits",
    ]
