"""The picks by groups are those of the textbook, to the bit, however the rows are split."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coreframe.tasks.kcenter.company import Groups
from coreframe.tasks.kcenter.goal import Goal, PickedRows, Quota
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from tests.kcenter.test_greedy import small_lattice
from tests.objects.textbook import Asked, frames_by_objects
from tests.stores import walks

CPU = torch.device("cpu")


def run(
    lattice: NDArray[np.int16], asked: Asked, cuts: list[int], pool_rows: int, front_rows: int
) -> PickedRows:
    tuning = replace(
        DEFAULT_TUNING,
        pool_rows=pool_rows,
        pool_values=4 * pool_rows * lattice.shape[1],
        extending_factor=1,
        front_rows=front_rows,
        refreshed_rows=front_rows,
    )
    quota, every = None, np.arange(len(lattice))
    if asked.video is not None and (asked.most is not None or asked.least):
        quota = Quota(asked.most, asked.least, every, asked.video)
    parts = []
    for rows in np.split(np.arange(len(lattice)), cuts):
        edges = sorted({0, *range(0, len(rows), 3), len(rows)})
        own = Vectors(ArraySource(lattice[rows]), edges, lattice.shape[1], CPU, None, tuning)
        weight = None if asked.weight is None else asked.weight[rows]
        group = None if quota is None else quota.group[rows]
        parts.append(Partition.without_centers(rows, own, weight=weight, group=group))
    groups = Groups(every, asked.frame)
    goal = Goal(asked.n, asked.threshold, asked.radius, quota, groups=groups)
    return greedy_k_center(LocalPartitions(parts), goal, tuning=tuning)


def check(picks: PickedRows, expected: dict[str, list[int]]) -> None:
    assert picks.rows.tolist() == expected["objects"]
    for name in ("distance", "radius"):
        l2 = np.sqrt(np.array(expected[name], np.float64)) / 4000
        if name == "distance":
            l2[:1] = np.nan
        assert np.array_equal(getattr(picks, name), l2, equal_nan=True), name
    assert np.isnan(picks.lower_bound).all()


@given(st.data())
def test_any_groups_any_options_any_split(data: st.DataObject) -> None:
    lattice = small_lattice(data)
    count = len(lattice)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    frame = rng.integers(0, data.draw(st.integers(1, count)), count)
    if data.draw(st.booleans()):
        frame.sort()  # as where all are of one file
    asked = Asked(data.draw(st.integers(1, count + 2)), frame)
    asked.threshold = data.draw(st.sampled_from([0, 1, 5, 100]))
    asked.radius = data.draw(st.sampled_from([None, None, 0, 4, 90]))
    if data.draw(st.booleans()):  # as that of their frame
        asked.weight = (rng.integers(0, 1024, count + 1) ** 2)[frame]
    if data.draw(st.booleans()):
        asked.video = np.sort(rng.integers(0, 4, count + 1))[frame].astype(np.int64)
        asked.least = data.draw(st.integers(0, 2))
        asked.most = data.draw(st.sampled_from([None, 2, 3]))
    cuts = data.draw(st.lists(st.integers(0, count), max_size=3).map(sorted))
    pool_rows, front_rows = (data.draw(st.sampled_from(some)) for some in ([1, 4, 64], [1, 3, 64]))
    check(run(lattice, asked, cuts, pool_rows, front_rows), frames_by_objects(lattice, asked))


def test_equal_objects_are_not_taken_for_others() -> None:
    lattice = np.full((6, 2), 100, np.int16)
    asked = Asked(9, np.array([0, 0, 1, 1, 2, 2]))
    picks = run(lattice, asked, [], 64, 64)
    assert picks.rows.tolist() == [0, 2, 4]
    check(picks, frames_by_objects(lattice, asked))


def test_many_objects_of_video_like_vectors() -> None:
    lattice = walks(600, 24, seed=4)
    frame = np.random.default_rng(1).integers(0, 90, 600)
    asked = Asked(60, frame)
    picks = run(lattice, asked, [100, 350], 64, 16)
    check(picks, frames_by_objects(lattice, asked))
    assert picks.passes < 25


def test_one_of_each_is_the_plain_coreset() -> None:
    lattice = walks(300, 24, seed=2)
    asked = Asked(40, np.arange(300)[::-1].copy())
    plain = greedy_k_center(
        LocalPartitions(
            [Partition.without_centers(np.arange(300), Vectors.from_array(lattice, CPU))]
        ),
        Goal(40),
    )
    picks = run(lattice, asked, [77], 64, 16)
    assert picks.rows.tolist() == plain.rows.tolist()
    assert np.array_equal(picks.radius, plain.radius)
