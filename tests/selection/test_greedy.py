"""The selection equals the textbook greedy in integers, exactly, however the rows are split."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.lattice import squared_threshold
from tasks.selection import greedy
from tasks.selection.greedy import LocalPartitions, Picks, greedy_k_center
from tasks.selection.partition import Partition, assign, coverage

CPU = torch.device("cpu")


def textbook(vectors: np.ndarray, eligible: np.ndarray, n: int, threshold: int) -> list[int]:
    """Greedy k-center, one pass over all rows for each pick, in int64."""
    wide = vectors.astype(np.int64)
    rows = np.flatnonzero(eligible)
    score = len(rows) * (wide[rows] ** 2).sum(axis=1) - 2 * wide[rows] @ wide[rows].sum(axis=0)
    picks = [int(rows[np.argmin(score)])]
    distance = ((wide - wide[picks[0]]) ** 2).sum(axis=1)
    while len(picks) < n:
        open_rows = [row for row in rows if row not in picks]
        if not open_rows:
            break
        best = max(open_rows, key=lambda row: (distance[row], -row))
        if distance[best] < threshold:
            break
        picks.append(int(best))
        distance = np.minimum(distance, ((wide - wide[best]) ** 2).sum(axis=1))
    return picks


def run(
    vectors: np.ndarray, eligible: np.ndarray, cuts: list[int], pool: int, n: int, threshold: int
) -> Picks:
    rows = np.arange(len(vectors))
    parts = [
        Partition.of(some, vectors[some], eligible[some], CPU) for some in np.split(rows, cuts)
    ]
    with mock.patch.object(greedy, "POOL_ROWS", pool):
        return greedy_k_center(LocalPartitions(parts), n, threshold)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_equals_the_textbook_for_any_split_and_pool(data: st.DataObject) -> None:
    rows, dim = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 4))
    reach = data.draw(st.sampled_from([1, 3, 4000]))  # small: duplicates and ties abound
    values = data.draw(
        st.lists(st.integers(-reach, reach), min_size=rows * dim, max_size=rows * dim)
    )
    vectors = np.array(values, np.int16).reshape(rows, dim)
    vectors[np.abs(vectors).sum(axis=1) > 4000] //= dim  # stay within the lattice's length
    eligible = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    eligible[data.draw(st.integers(0, rows - 1))] = True
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=4)))
    n = data.draw(st.integers(1, rows + 2))
    threshold = data.draw(st.sampled_from([0, 1, 5, 100]))
    picks = run(vectors, eligible, cuts, data.draw(st.integers(1, 8)), n, threshold)
    assert picks.rows.tolist() == textbook(vectors, eligible, n, threshold)


@pytest.mark.parametrize("min_distance", [1e-6, 1e-3, 0.1, 0.3])
def test_fifty_distinct_times_ten_copies_give_fifty(min_distance: float) -> None:
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(50, 16))
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    vectors = np.rint(np.tile(distinct, (10, 1)) * 4000).astype(np.int16)
    picks = run(vectors, np.ones(500, bool), [90, 333], 64, 500, squared_threshold(min_distance))
    assert len(picks.rows) == 50
    assert len(set(picks.rows % 50)) == 50
    assert picks.stopped_by == "min_distance"


def test_equal_rows_are_picked_only_after_all_distinct_ones() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.int16) * 4000, 3, axis=0)
    picks = run(vectors, np.ones(12, bool), [5], 2, 12, 0)
    assert sorted(picks.rows[:4] // 3) == [0, 1, 2, 3]
    assert sorted(picks.rows.tolist()) == list(range(12))
    assert picks.distance[4:].tolist() == [0.0] * 8


def test_distance_is_to_the_nearest_earlier_pick_and_never_grows() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.integers(-1000, 1000, (200, 8)).astype(np.int16)
    picks = run(vectors, np.ones(200, bool), [70], 16, 50, 0)
    wide = vectors[picks.rows].astype(np.float64) / 4000
    assert np.isnan(picks.distance[0])
    for k in range(1, 50):
        nearest = np.linalg.norm(wide[:k] - wide[k], axis=1).min()
        assert picks.distance[k] == pytest.approx(nearest, abs=1e-12)
    assert np.all(np.diff(picks.distance[1:]) <= 0)


def test_nothing_eligible_gives_an_empty_selection() -> None:
    picks = run(np.zeros((3, 2), np.int16), np.zeros(3, bool), [], 8, 2, 0)
    assert (len(picks.rows), picks.stopped_by) == (0, "exhausted")


def test_assigning_leaves_the_given_partition_as_it_was() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.integers(-1000, 1000, (50, 8)).astype(np.int16)
    part = Partition.of(np.arange(50), vectors, np.ones(50, bool), CPU)
    before = part.distance.clone()
    assign(part, np.array([3]), vectors[[3]])
    assert torch.equal(part.distance, before)
    assert bool(part.eligible.all())


def test_coverage_equals_numpy() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.integers(-1000, 1000, (300, 8)).astype(np.int16)
    part = Partition.of(np.arange(300), vectors, np.ones(300, bool), CPU)
    wide = vectors.astype(np.int64)
    nearest = ((wide[:, None] - wide[None, :20]) ** 2).sum(axis=2).min(axis=1)
    largest, total, rows = coverage(part, vectors[:20])
    assert (largest, rows) == (int(nearest.max()), 300)
    assert total == pytest.approx(np.sqrt(nearest).sum(), rel=1e-12)


@pytest.mark.gpu
def test_same_picks_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(5000, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lattice = np.rint(vectors * 4000).astype(np.int16)
    found = []
    for device in (CPU, torch.device("cuda")):
        part = Partition.of(np.arange(5000), lattice, np.ones(5000, bool), device)
        corpus = mock.Mock(wraps=LocalPartitions([part]))
        corpus.vectors = lambda rows: lattice[list(rows)]
        found.append(greedy_k_center(corpus, 500).rows.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("values", [1, 50, 10_000])
def test_tiling_changes_nothing(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.integers(-1000, 1000, (60, 8)).astype(np.int16)
    eligible = rng.random(60) < 0.8
    expected = textbook(vectors, eligible, 20, 0)
    monkeypatch.setattr("tasks.lattice.TILE_VALUES", values)
    monkeypatch.setattr("tasks.selection.partition.TILE_VALUES", values)
    assert run(vectors, eligible, [13], 8, 20, 0).rows.tolist() == expected
