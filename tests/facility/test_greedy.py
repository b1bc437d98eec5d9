"""Facility location equals the textbook greedy in integers, however the rows are split."""

from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coreframe.tasks.facility import gaps, listed, listing, standing
from coreframe.tasks.facility.field import Field
from coreframe.tasks.facility.greedy import facility_location
from coreframe.tasks.facility.standing import Standing, take
from coreframe.tasks.kcenter.goal import Goal, PickedRows
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.kcenter.partition import FAR, Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from tests.facility.textbook import textbook, whole_gaps
from tests.kcenter.test_greedy import drawn, small_lattice
from tests.kcenter.textbook import Asked
from tests.stores import walks

CPU = torch.device("cpu")


def run(
    lattice: NDArray[np.int16],
    asked: Asked,
    cuts: Sequence[int] = (),
    kept_rows: int | None = None,
    blocks: int = 3,
    tuning: Tuning = DEFAULT_TUNING,
    device: torch.device = CPU,
) -> PickedRows:
    parts = []
    for rows in np.split(np.arange(len(lattice)), cuts):
        edges = sorted({0, *range(0, len(rows), blocks), len(rows)})
        own = Vectors(
            ArraySource(lattice[rows]), edges, lattice.shape[1], device, kept_rows, tuning
        )
        parts.append(Partition.without_centers(rows, own))
    corpus = LocalPartitions(parts)
    if len(asked.before):
        before = np.array(asked.before)
        corpus.assign(before, lattice[before], curve=True)
    return facility_location(corpus, ArraySource(lattice), asked.goal)


def check(picks: PickedRows, expected: dict[str, list[int]]) -> None:
    assert picks.rows.tolist() == expected["rows"]
    assert picks.center_rows.tolist() == expected["rows"]
    distance = np.sqrt(np.array(expected["distance"], np.float64)) / 4000
    if np.isnan(picks.distance[:1]).any():
        distance[0] = np.nan
    assert np.array_equal(picks.distance, distance, equal_nan=True)
    radius = np.sqrt(np.array(expected["radius"], np.float64)) / 4000
    assert np.array_equal(picks.radius, radius)
    assert np.isnan(picks.lower_bound).all()
    assert len(picks.lower_bound) == len(picks.rows)


def asked_of(data: st.DataObject, rows: int) -> Asked:
    """What can be asked of this method."""
    return replace(drawn(data, rows), radius=None, weight=None, substitutes=None)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and tiles so small that a few rows need several."""
    for name, value in (("bounds.FIRST", 2), ("bounds.GROWTH", 2), ("bounds.MOST", 5)):
        monkeypatch.setattr(f"coreframe.tasks.facility.{name}", value)


@pytest.mark.usefixtures("small")
@given(data=st.data())
def test_equals_the_textbook_for_any_split_and_option(data: st.DataObject) -> None:
    lattice = small_lattice(data)
    rows = len(lattice)
    asked = asked_of(data, rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=4)))
    tuning = Tuning(
        chunk_rows=4,
        tile_values=data.draw(st.sampled_from([8, 64, None])),
        pruning_devices=frozenset(data.draw(st.sampled_from([{"cpu"}, set()]))),
    )
    kept_rows, blocks = data.draw(st.sampled_from([None, 0, 7])), data.draw(st.integers(1, 9))
    pairs, block_rows = data.draw(st.sampled_from([0, 30, 2**21])), data.draw(st.integers(1, 9))
    with (
        mock.patch.multiple(listing, PAIRS=0, LEAST_PAIRS=pairs),
        mock.patch.object(listed, "BLOCK_ROWS", block_rows),
        mock.patch.object(standing, "SMALL_VALUES", data.draw(st.sampled_from([0, 2**22]))),
    ):
        found = run(lattice, asked, cuts, kept_rows, blocks, tuning)
    check(found, textbook(lattice, asked))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("first", [4, 64])
def test_equals_the_textbook_where_most_is_left_as_it_was(
    seed: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coreframe.tasks.facility.bounds.FIRST", first)
    monkeypatch.setattr("coreframe.tasks.facility.standing.CALLED", 16)
    monkeypatch.setattr("coreframe.tasks.facility.standing.GROUPS", 3)
    monkeypatch.setattr(listing, "PAIRS", 0)
    monkeypatch.setattr(listing, "LEAST_PAIRS", 0)
    lattice = walks(700, 32, seed)
    asked = Asked(120, before=[] if seed else [5, 600, 44])
    picks = run(lattice, asked, [300, 310], blocks=64)
    check(picks, textbook(lattice, asked))
    assert picks.distances_formed < 700 * 700 * 3
    assert picks.passes < 3 * 120


@pytest.mark.parametrize("pairs", [20, 60, 300])
def test_equals_the_textbook_where_pairs_are_listed(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAIRS", pairs)
    monkeypatch.setattr(listing, "LEAST_PAIRS", 0)
    monkeypatch.setattr(listed, "BLOCK_ROWS", 64)
    made, formed = [], []
    original = Field.list_pairs

    def list_pairs(self: Field, places: NDArray[np.int64]) -> None:
        original(self, places)
        made.append(places)
        formed.append(sum(report.listed_formed for report in self.report()))

    monkeypatch.setattr(Field, "list_pairs", list_pairs)
    lattice = walks(700, 32, 2)
    asked = Asked(120)
    picks = run(lattice, asked, [300, 310], blocks=64)
    check(picks, textbook(lattice, asked))
    assert picks.passes < 1.3 * 120  # mostly a pass a pick, where bounds take two or three
    assert len(made) > 1
    for before, places, pairs in zip(made[:-1], made[1:], formed[1:], strict=True):
        assert pairs <= 700 * len(np.setdiff1d(places, before))
        assert pairs < 700 * len(places)


def test_tiles_smaller_than_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of tiles is formed once, by the one partition or the other."""
    monkeypatch.setattr("coreframe.tasks.facility.field.SUMMED", 50)
    lattice = walks(800, 16, 3)
    rows = np.arange(800)
    mixed = [rows[rows % 300 < 100], rows[rows % 300 >= 250], rows[(rows % 300 >= 100)]]
    mixed[2] = mixed[2][mixed[2] % 300 < 250]
    parts = [Partition.without_centers(own, Vectors.from_array(lattice[own], CPU)) for own in mixed]
    source, asked = ArraySource(lattice), Asked(20)
    picks = facility_location(LocalPartitions(parts), source, asked.goal)
    check(picks, textbook(lattice, asked))
    apart = whole_gaps(lattice)
    found = Field(LocalPartitions(parts), source).gains(apart[7].astype(np.int16))
    assert found.distances.tolist() == apart.sum(axis=1).tolist()
    gain = np.maximum(0, apart[7][None] - apart).sum(axis=1)
    assert found.gain.sum(axis=1).tolist() == gain.tolist()
    assert found.formed < 800 * 800 * 0.6


def test_a_wrong_guess_of_the_first_pick_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coreframe.tasks.facility.field.Field.central", lambda _: 17)
    lattice = walks(300, 8, 1)
    check(run(lattice, Asked(30), [100]), textbook(lattice, Asked(30)))


def test_the_first_pick_is_mostly_guessed() -> None:
    lattice = walks(3000, 8, 2)
    corpus = LocalPartitions(
        [Partition.without_centers(np.arange(3000), Vectors.from_array(lattice, CPU))]
    )
    assert Field(corpus, ArraySource(lattice)).central() == whole_gaps(lattice).sum(1).argmin()


def test_equal_rows_are_picked_only_after_all_distinct_ones() -> None:
    lattice = np.repeat(np.eye(4, dtype=np.int16) * 4000, 3, axis=0)
    picks = run(lattice, Asked(12), [5])
    assert picks.rows.tolist() == [0, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11]
    assert picks.distance[4:].tolist() == [0.0] * 8


def test_centers_that_are_all_that_each_video_should_have() -> None:
    lattice = walks(60, 8, 4)
    asked = Asked(3, before=[0, 20, 40], video=np.arange(60) // 20, least=1)
    check(run(lattice, asked), textbook(lattice, asked))


def test_why_it_stopped() -> None:
    lattice = walks(60, 8, 4)
    video = np.arange(60) // 20
    spacing = int((0.2 * 4000) ** 2)
    assert run(lattice, Asked(5)).stopped_by == "n"
    assert run(lattice, Asked(99)).stopped_by == "exhausted"
    assert run(lattice, Asked(60, spacing)).stopped_by == "min_distance"
    assert run(lattice, Asked(60, video=video, most=2)).stopped_by == "max_per_video"
    assert run(lattice[:0], Asked(3)).stopped_by == "exhausted"


def test_the_mean_gap_is_lower_than_that_of_the_farthest() -> None:
    lattice = walks(800, 16, 6)
    apart = whole_gaps(lattice)
    corpus = LocalPartitions(
        [Partition.without_centers(np.arange(800), Vectors.from_array(lattice, CPU))]
    )
    farthest = greedy_k_center(corpus, Goal(30)).rows
    picks = run(lattice, Asked(30)).rows
    assert apart[picks].min(axis=0).mean() < 0.9 * apart[farthest].min(axis=0).mean()


def test_what_is_taken_leaves_the_given_standing_as_it_was() -> None:
    lattice = walks(50, 8, 5)
    part = Partition.without_centers(np.arange(50), Vectors.from_array(lattice, CPU))
    before = take(Standing.of(part), (np.array([9]), lattice[[9]]))
    gap = before.gap.clone()
    after = take(before, (np.array([3]), lattice[[3]]))
    assert torch.equal(before.gap, gap)
    assert (len(before.changes), len(after.changes)) == (1, 2)


def test_gaps_are_those_of_numpy_and_never_fall_as_distances_grow() -> None:
    """Of every squared distance there is: of a few thousand alone torch's own roots differ."""
    last = 0
    for start in range(0, 2**26, 2**22):
        values = np.arange(start, start + 2**22, dtype=np.int32)
        found = gaps.whole_gaps(torch.from_numpy(values)).numpy()
        assert np.array_equal(found, np.rint(np.sqrt(values.astype(np.float32))))
        assert found[0] >= last
        assert (np.diff(found) >= 0).all()
        last = found[-1]
    assert last <= 2**13


def test_no_center_is_farther_than_any_distance() -> None:
    assert gaps.whole_gaps(torch.tensor([FAR], dtype=torch.int32)) == gaps.NO_CENTER
