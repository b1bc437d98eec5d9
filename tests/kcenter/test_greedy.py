"""The selection equals the textbook greedy in integers, exactly, however the rows are split."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coreframe.tasks.kcenter.assign import assign
from coreframe.tasks.kcenter.bfloat16 import Bfloat16Screen
from coreframe.tasks.kcenter.coverage import coverage
from coreframe.tasks.kcenter.exchange import Substitutes
from coreframe.tasks.kcenter.goal import PickedRows
from coreframe.tasks.kcenter.greedy import greedy_k_center, share_of
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from coreframe.tasks.lattice import Targets, squared_distances, squared_norms
from coreframe.tasks.scale import squared_reach, squared_threshold
from tests.kcenter.textbook import Asked, textbook
from tests.stores import walks

CPU = torch.device("cpu")


def run(
    lattice: NDArray[np.int16],
    asked: Asked,
    cuts: Sequence[int] = (),
    pool_rows: int = 64,
    kept_rows: int | None = None,
    blocks: int = 3,
    device: torch.device = CPU,
    tuning: Tuning = DEFAULT_TUNING,
) -> PickedRows:
    most = 4 * pool_rows * lattice.shape[1]
    tuning = replace(tuning, pool_rows=pool_rows, pool_values=most, extending_factor=1)
    parts = []
    for rows in np.split(np.arange(len(lattice)), cuts):
        edges = sorted({0, *range(0, len(rows), blocks), len(rows)})
        own = Vectors(
            ArraySource(lattice[rows]), edges, lattice.shape[1], device, kept_rows, tuning
        )
        weight = None if asked.weight is None else asked.weight[rows]
        group = None if asked.goal.quota is None else asked.goal.quota.group[rows]
        parts.append(Partition.without_centers(rows, own, weight=weight, group=group))
    corpus = LocalPartitions(parts)
    if len(asked.before):
        before = np.array(asked.before)
        corpus.assign(before, lattice[before])
    return greedy_k_center(corpus, asked.goal, tuning=tuning)


def check(picks: PickedRows, expected: dict[str, list[int]]) -> None:
    def l2(squared: list[int]) -> NDArray[np.float64]:
        return np.sqrt(np.array(squared, np.float64)) / 4000

    assert picks.rows.tolist() == expected["rows"]
    assert picks.center_rows.tolist() == expected["picked"]
    distance = l2(expected["distance"])
    if np.isnan(picks.distance[:1]).any():
        distance[0] = np.nan
    assert np.array_equal(picks.distance, distance, equal_nan=True)
    assert np.array_equal(picks.radius, l2(expected["radius"]))
    assert np.array_equal(picks.lower_bound, l2(expected["bound"]) / 2)


def small_lattice(data: st.DataObject) -> NDArray[np.int16]:
    rows, dim = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 4))
    reach = data.draw(st.sampled_from([1, 3, 4000]))  # small: duplicates and ties abound
    values = data.draw(
        st.lists(st.integers(-reach, reach), min_size=rows * dim, max_size=rows * dim)
    )
    lattice = np.array(values, np.int16).reshape(rows, dim)
    lattice[np.abs(lattice).sum(axis=1) > 4000] //= dim  # stay within the lattice's length
    return lattice


def drawn(data: st.DataObject, rows: int) -> Asked:
    """Any combination of what can be asked of a selection."""
    asked = Asked(data.draw(st.integers(1, rows + 2)), data.draw(st.sampled_from([0, 1, 5, 100])))
    asked.before = data.draw(st.lists(st.integers(0, rows - 1), max_size=5, unique=True))
    asked.radius = data.draw(st.sampled_from([None, None, 0, 4, 90]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    if data.draw(st.booleans()):
        asked.weight = rng.integers(0, data.draw(st.sampled_from([3, 1024])), rows) ** 2
    if data.draw(st.booleans()):
        asked.video = rng.integers(0, 5, rows)
        asked.least = data.draw(st.integers(0, 3))
        asked.most = data.draw(st.sampled_from([None, 3, 4, 6]))
        asked.video.sort()  # as in a store, where each video is in one piece
        if data.draw(st.booleans()):
            asked.classes = rng.integers(0, 3, rows)
            shares = data.draw(st.lists(st.integers(0, 3), min_size=3, max_size=3))
            asked.shares = tuple(Fraction(one, 2) for one in shares)
    if data.draw(st.booleans()):
        video = np.zeros(rows, np.int64) if asked.video is None else asked.video
        asked.substitutes = Substitutes(
            rows=np.arange(rows),
            video=video,
            time_s=rng.integers(0, 9, rows) / 2,  # a damaged video's may run backwards
            quality=rng.integers(0, 6, rows).astype(float),
            squared_within=data.draw(st.sampled_from([0, 2, 500, 4_000_000])),
            label=asked.classes,
        )
    return asked


def drawn_screen(data: st.DataObject) -> dict[str, Any]:
    """As on processors that have matrix units, or as on others; in pieces of any size."""
    group = data.draw(st.sampled_from([1, 4, 64]))
    return {
        "bfloat16_screen": data.draw(st.booleans()),
        "screen_least_rows": 1,
        "screen_rows": data.draw(st.sampled_from([5, 8192])),
        "screen_least_targets": 1,
        "screen_group_targets": group,
        "screen_product_targets": group * data.draw(st.sampled_from([1, 8])),
        "screen_product_rows": data.draw(st.sampled_from([3, 512])),
        "pairs_devices": frozenset(data.draw(st.sampled_from([set(), {"cpu"}]))),  # as on a GPU
        "loading_devices": frozenset(data.draw(st.sampled_from([set(), {"cpu"}]))),
        "loading_threads": data.draw(st.sampled_from([1, 3])),
        "between_devices": frozenset(data.draw(st.sampled_from([set(), {"cpu"}]))),
        "device_front_rows": data.draw(st.sampled_from([3, 4096])),
        "pairs_least_targets": 1,
        "pairs_values": data.draw(st.sampled_from([1 << 9, 1 << 16])),
        "pairs_dense_share": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
    }


@given(data=st.data())
def test_equals_the_textbook_for_any_split_pool_and_option(data: st.DataObject) -> None:
    lattice = small_lattice(data)
    rows = len(lattice)
    asked = drawn(data, rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=4)))
    pool_rows, front = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    kept_rows = data.draw(st.sampled_from([None, 0, 7]))
    tuning = Tuning(
        front_rows=front,
        refreshed_rows=data.draw(st.integers(1, 8)),
        chunk_rows=4,
        **drawn_screen(data),
    )
    blocks = data.draw(st.integers(1, 9))
    picks = run(lattice, asked, cuts, pool_rows, kept_rows, blocks, tuning=tuning)
    check(picks, textbook(lattice, asked))


@pytest.mark.parametrize("min_distance", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("remembered", [7, 2000])
def test_picks_are_exchanged_for_better_rows_close_by(
    remembered: int, seed: int, min_distance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down to the last row, where a pick's substitute is the next pick's."""
    monkeypatch.setattr("coreframe.tasks.kcenter.exchange.REMEMBERED", remembered)
    rng = np.random.default_rng(seed)
    lattice = walks(240, 8, seed)[np.sort(rng.integers(0, 240, 240))]  # with duplicates
    near = Substitutes(
        rows=np.arange(240),
        video=np.arange(240) // 60,
        time_s=np.arange(240) / 10,
        quality=rng.random(240),
        squared_within=squared_reach(0.3),
    )
    asked = Asked(240, squared_threshold(min_distance), substitutes=near)
    picks = run(lattice, asked, [70, 150], pool_rows=40)
    check(picks, textbook(lattice, asked))
    assert (picks.rows != picks.center_rows).sum() >= 5
    assert len(set(picks.rows.tolist())) == len(picks.rows)
    wide = lattice[picks.rows].astype(np.int64)
    apart = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)[np.triu_indices(len(wide), 1)]
    assert apart.min() >= asked.threshold


@given(data=st.data())
def test_pruning_changes_nothing(data: st.DataObject) -> None:
    """Many cells, sketches, portions and tiles, on data in which each of them rules out a lot."""
    dim = data.draw(st.sampled_from([8, 64, 128]))
    lattice = walks(data.draw(st.integers(200, 900)), dim, data.draw(st.integers(0, 999)))
    asked = drawn(data, len(lattice))
    asked.n = data.draw(st.integers(20, 150))
    asked.before = data.draw(st.lists(st.integers(0, len(lattice) - 1), max_size=90, unique=True))
    pruning = data.draw(st.sampled_from([{"cpu"}, {"cpu"}, set()]))  # as on a GPU
    tuning = Tuning(
        cell_rows=data.draw(st.sampled_from([8, 30])),
        centers_at_once=data.draw(st.sampled_from([16, 1024])),
        unpruned_centers_at_once=data.draw(st.sampled_from([24, 2048])),
        dense_share=data.draw(st.sampled_from([0.0, 0.7, 1.0])),
        front_rows=data.draw(st.sampled_from([4, 128])),
        refreshed_rows=data.draw(st.sampled_from([8, 2048])),
        tile_values=data.draw(st.sampled_from([1 << 10, 1 << 19])),
        pruning_devices=frozenset(pruning),
        **drawn_screen(data),
    )
    pool_rows = data.draw(st.sampled_from([8, 64]))
    picks = run(lattice, asked, [97], pool_rows, blocks=50, tuning=tuning)
    check(picks, textbook(lattice, asked))
    if dim == 128 and pruning and asked.weight is None and asked.video is None and not asked.before:
        assert picks.distances_formed < len(lattice) * len(picks.rows)


def test_what_a_partition_does_not_name_is_waited_for() -> None:
    """All that is far lies in one partition of many: it names fewer rows than the pool takes."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(750, 8))
    wide[400:] = wide[400] + 0.01 * wide[400:]
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    lattice = np.rint(wide * 4000).astype(np.int16)
    cuts, asked = range(400, 750, 50), Asked(380)
    assert share_of(4 * 150, len(cuts) + 1) < 400  # `run` makes the first pools four times as large
    check(run(lattice, asked, cuts, 150), textbook(lattice, asked))


@pytest.mark.parametrize("min_distance", [1e-6, 1e-3, 0.1, 0.3, "spacing"])
def test_fifty_distinct_times_ten_copies_give_fifty(min_distance: Any) -> None:
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(50, 16))
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    lattice = np.rint(np.tile(distinct, (10, 1)) * 4000).astype(np.int16)
    wide = lattice[:50].astype(np.int64)
    squared = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)[np.triu_indices(50, 1)].min()
    threshold = int(squared) if min_distance == "spacing" else squared_threshold(min_distance)
    picks = run(lattice, Asked(500, threshold), [90, 333])
    assert len(picks.rows) == 50
    assert len(set(picks.rows % 50)) == 50
    assert picks.stopped_by == "min_distance"
    assert len(run(lattice, Asked(500, int(squared) + 1), [90, 333]).rows) < 50


def test_equal_rows_are_picked_only_after_all_distinct_ones() -> None:
    lattice = np.repeat(np.eye(4, dtype=np.int16) * 4000, 3, axis=0)
    picks = run(lattice, Asked(12), [5], 2)
    assert sorted(picks.rows[:4] // 3) == [0, 1, 2, 3]
    assert sorted(picks.rows.tolist()) == list(range(12))
    assert picks.distance[4:].tolist() == [0.0] * 8


def test_distance_is_the_radius_before_and_never_grows() -> None:
    lattice = walks(200, 8, 1)
    picks = run(lattice, Asked(50), [70], 16)
    assert np.isnan(picks.distance[0])
    assert np.array_equal(picks.radius[:-1], picks.distance[1:])
    assert np.array_equal(picks.lower_bound, picks.radius / 2)
    assert np.all(np.diff(picks.radius) <= 0)


def test_radius_gives_the_smallest_prefix_that_covers() -> None:
    lattice = walks(300, 8, 2)
    whole = run(lattice, Asked(300))
    for wanted in (0.5, 0.1, 0.02):
        picks = run(lattice, Asked(300, radius=int((wanted * 4000) ** 2)))
        assert picks.stopped_by == "radius"
        enough = int(np.argmax(whole.radius <= wanted)) + 1
        assert picks.rows.tolist() == whole.rows[:enough].tolist()


def test_the_lower_bound_is_below_the_best_possible_radius() -> None:
    from itertools import combinations

    rng = np.random.default_rng(3)
    for seed in range(20):
        lattice = walks(11, 3, seed)
        weight = rng.integers(1, 1024, 11)
        picks = run(lattice, Asked(3, weight=weight))
        wide = lattice.astype(np.float64) / 4000
        apart = np.linalg.norm(wide[:, None] - wide[None], axis=2)
        for k in (1, 2, 3):
            best = min(apart[list(some)].min(axis=0).max() for some in combinations(range(11), k))
            assert picks.lower_bound[k - 1] <= best + 1e-12
            assert best <= picks.radius[k - 1] + 1e-12


def test_why_it_stopped() -> None:
    lattice = walks(60, 8, 4)
    video = np.arange(60) // 20
    spacing = int((0.2 * 4000) ** 2)
    assert run(lattice, Asked(5)).stopped_by == "n"
    assert run(lattice, Asked(99)).stopped_by == "exhausted"
    assert run(lattice, Asked(60, spacing)).stopped_by == "min_distance"
    assert run(lattice, Asked(60, radius=spacing)).stopped_by == "radius"
    assert run(lattice, Asked(60, video=video, most=2)).stopped_by == "max_per_video"
    assert run(lattice[:0], Asked(3)).stopped_by == "exhausted"


def test_assigning_leaves_the_given_partition_as_it_was() -> None:
    lattice = walks(50, 8, 5)
    part = Partition.without_centers(np.arange(50), Vectors.from_array(lattice, CPU))
    before = part.distance.clone()
    after = assign(part, np.array([3]), lattice[[3]])
    assert torch.equal(part.distance, before)
    assert bool(part.open.all())
    assert not bool(after.open[3])


def test_coverage_equals_numpy() -> None:
    lattice = walks(300, 8, 6)
    part = Partition.without_centers(np.arange(300), Vectors.from_array(lattice, CPU))
    wide = lattice.astype(np.int64)
    nearest = ((wide[:, None] - wide[None, :20]) ** 2).sum(axis=2).min(axis=1)
    largest, total, rows = coverage(part, lattice[:20])
    assert (largest, rows) == (int(nearest.max()), 300)
    assert total == pytest.approx(np.sqrt(nearest).sum(), rel=1e-12)


@pytest.mark.gpu
def test_same_picks_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    lattice = walks(5000, 128, 7, latent=12)
    on_cpu = run(lattice, Asked(500), [1700], blocks=512)
    on_gpu = run(lattice, Asked(500), [1700], blocks=512, device=torch.device("cuda"))
    assert on_cpu.rows.tolist() == on_gpu.rows.tolist()
    assert np.array_equal(on_cpu.radius, on_gpu.radius)


@pytest.mark.parametrize("cosine", [1, 0.2, 0, -0.2, -1])
@pytest.mark.parametrize("spread", [0.3, 0.001])
def test_rough_products_leave_every_row_that_a_target_is_nearer_to(
    cosine: float, spread: float
) -> None:
    """Products of all signs, and all negative ones; each row is nearer by the least there is."""
    rng = np.random.default_rng(0)

    def around(direction: NDArray[np.float64], count: int) -> torch.Tensor:
        some = direction + spread * rng.normal(size=(count, 64)) / 8
        unit = some / np.linalg.norm(some, axis=1, keepdims=True)
        return torch.from_numpy(np.rint(4000 * unit).astype(np.int16))

    one, other = np.linalg.qr(rng.normal(size=(64, 2)))[0].T
    rows = around(one, 700)
    targets = Targets.from_lattice(around(cosine * one + (1 - cosine**2) ** 0.5 * other, 200))
    norms = squared_norms(rows)
    exact = squared_distances(rows.float(), norms, targets.wide, targets.norms)
    nearest = exact.min(dim=1)
    screen, group = Bfloat16Screen(64, 200, DEFAULT_TUNING), DEFAULT_TUNING.screen_group_targets
    left = {
        (part, row)
        for places, found in screen.remaining(
            targets, rows, torch.arange(700), norms, nearest.values + 1
        )
        for part in [places.start // group]
        for row in found.tolist()
    }
    assert {(int(at) // group, row) for row, at in enumerate(nearest.indices)} <= left
