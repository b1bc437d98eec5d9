"""What is left of rows and targets by rough products holds the nearest target of every row."""

from dataclasses import replace
from math import isqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from coreframe.tasks.kcenter.assign import assign
from coreframe.tasks.kcenter.goal import Goal
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.kcenter.pairs import (
    ARITHMETIC,
    SUMMAND_LOSS,
    Left,
    PairScreen,
    _error,
    _rounding,
    _share_of_length,
    pairs_pay,
)
from coreframe.tasks.kcenter.partition import FAR, Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from coreframe.tasks.lattice import Targets, squared_distances, squared_norms
from tests.stores import walks

CPU = torch.device("cpu")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
ON_CPU = replace(DEFAULT_TUNING, pairs_devices=frozenset({"cpu"}), pairs_values=2**18)


def lattice_of(vectors: NDArray[np.float64]) -> torch.Tensor:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return torch.from_numpy(np.rint(4000 * unit).astype(np.int16))


def checked(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    return device


def left_of(
    rows: torch.Tensor, targets: Targets, squared: torch.Tensor, dense_share: float = 1.0
) -> Left:
    tuning = replace(ON_CPU, pairs_dense_share=dense_share, pairs_values=2**30)
    screen = PairScreen(rows.shape[1], len(rows), len(targets), rows.device, tuning)
    screen.begin(targets)
    return screen.remaining(rows, squared_norms(rows), squared)


def pairs(left: Left) -> set[tuple[int, int]]:
    assert left.pairs is not None
    row, target = left.pairs
    return set(zip(left.rows[row].tolist(), target.tolist(), strict=True))


@pytest.mark.parametrize("cosine", [1, 0.2, 0, -0.2, -1])
@pytest.mark.parametrize("spread", [0.3, 0.001])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("device", DEVICES)
def test_the_nearest_is_left_in_every_direction(
    device: str, cosine: float, spread: float, known: bool
) -> None:
    """Scores of all signs; each row is nearer by the least there is, or has no center yet."""
    rng = np.random.default_rng(0)
    on = torch.device(checked(device))
    one, other = np.linalg.qr(rng.normal(size=(64, 2)))[0].T
    toward = cosine * one + (1 - cosine**2) ** 0.5 * other
    rows = lattice_of(one + spread * rng.normal(size=(700, 64)) / 8).to(on)
    others = lattice_of(toward + spread * rng.normal(size=(200, 64)) / 8).to(on)
    targets = Targets.from_lattice(others)
    norms = squared_norms(rows)
    exact = squared_distances(rows.float(), norms, targets.wide, targets.norms)
    nearest = exact.min(dim=1).values
    squared = nearest + 1 if known else torch.full_like(nearest, FAR)
    left = pairs(left_of(rows, targets, squared))
    row, target = torch.nonzero(exact == nearest[:, None]).unbind(dim=1)
    assert set(zip(row.tolist(), target.tolist(), strict=True)) <= left


def worst(count: int, dim: int = 250) -> torch.Tensor:
    """A vector that rounding shortens by as much as it can, and a product with itself once more.

    257 lies half-way between two bfloat16 numbers, and goes to 256. A sum of ``count`` squares of
    that and of 181 is 9 below half-way between two again, and goes down too.
    """
    vector = torch.zeros(dim, dtype=torch.int16)
    vector[:count], vector[-1] = 257, 181
    return vector


@pytest.mark.parametrize("count", [200, 241, 249])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("device", DEVICES)
def test_a_pair_is_left_where_rounding_errs_as_far_as_it_can(
    device: str, count: int, sign: int
) -> None:
    vectors = (sign * worst(count))[None].to(checked(device))
    targets = Targets.from_lattice(vectors)
    rough = (vectors.bfloat16() @ vectors.bfloat16().T).float()
    off = float(vectors.float().square().sum() - rough)
    assert off > 513 * count + 2**15 - 10  # the example is what it says
    # it has a center one lattice unit of squared distance farther than the target, on itself
    assert pairs(left_of(vectors, targets, torch.ones_like(targets.norms))) == {(0, 0)}


def test_the_bound_is_reached_by_vectors_that_rounding_errs_most_with() -> None:
    row, exact = worst(241).float(), torch.zeros(250)
    exact[:241] = 256  # a bfloat16 number
    for target in (row, exact):
        off = float(row @ target - row.bfloat16().float() @ target.bfloat16().float())
        norms = row.square().sum().int()[None]
        share = _share_of_length(target[None], target.bfloat16()[None])
        bound = float(_error(share, norms, 250))
        summing = 2 * SUMMAND_LOSS * 250 + ARITHMETIC
        assert off <= bound - summing < 1.02 * off


def whole_length(parts: dict[int, int], dim: int = 450) -> torch.Tensor:
    """A vector of squared length 16,000,000 with these numbers, and bfloat16 ones behind 300."""
    vector = torch.zeros(dim, dtype=torch.int16)
    vector[list(parts)] = torch.tensor(list(parts.values()), dtype=torch.int16)
    left, at = 16_000_000 - int(vector.int().square().sum()), 300
    while left:
        vector[at] = min(250, isqrt(left))
        left, at = left - int(vector[at]) ** 2, at + 1
    return vector


def test_a_pair_is_left_beside_one_that_only_seems_nearer() -> None:
    """One target's score comes out too low, the other's too high, by most of what is possible."""
    row = torch.zeros(450, dtype=torch.int16)
    row[:120], row[120:240], row[240] = 257, 259, 127  # go to 256, 260, 127
    near = whole_length({**dict.fromkeys(range(120), 257), 240: 127})
    seems = whole_length({**dict.fromkeys(range(120, 238), 259), 238: 102})
    targets = Targets.from_lattice(torch.stack([seems, near]))
    rows, norms = row[None], squared_norms(row[None])
    exact = squared_distances(rows.float(), norms, targets.wide, targets.norms)
    assert exact[0, 1] < exact[0, 0]
    rough = (rows.bfloat16() @ targets.wide.bfloat16().T).float()
    assert float(rough[0, 0] - rough[0, 1]) >= 2**17
    assert pairs(left_of(rows, targets, torch.tensor([FAR]))) == {(0, 0), (0, 1)}


def test_of_equally_near_targets_the_first_to_come_is_the_nearest() -> None:
    rows = torch.from_numpy(walks(30, 16, 0))
    targets = Targets.from_lattice(rows[[4, 9, 9, 4, 4, 12]])
    norms = squared_norms(rows)
    left = left_of(rows, targets, torch.full((30,), FAR))
    screen, number = PairScreen(16, 30, 6, CPU, ON_CPU), targets.place.int()
    assert left.pairs is not None
    squared, nearest = screen.nearest(
        left.rows, left.pairs, targets, (targets.norms, number), rows, torch.arange(30), norms
    )
    exact = squared_distances(rows.float(), norms, rows[[4, 9, 12]].float(), norms[[4, 9, 12]])
    assert torch.equal(squared, exact.min(dim=1).values)
    assert torch.equal(nearest, torch.tensor([0, 1, 5])[exact.argmin(dim=1)].int())


def test_too_many_pairs_are_left_to_one_product() -> None:
    rows = torch.from_numpy(walks(40, 16, 1))
    alike = Targets.from_lattice(rows[:1].repeat(50, 1))
    squared = torch.full((40,), FAR)
    assert left_of(rows, alike, squared, dense_share=0.5).pairs is None
    assert len(pairs(left_of(rows, alike, squared, dense_share=1.0))) == 40 * 50


def scenes(count: int, rows: int, dim: int) -> NDArray[np.int16]:
    """(count * rows, dim) int16 lattice: walks around points that are far from one another."""
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(size=(count, rows, 6)) * 0.03, axis=1)
    vectors = rng.normal(size=(count, 1, dim)) + paths @ rng.normal(size=(count, 6, dim))
    vectors += 0.05 * rng.normal(size=(count, rows, dim))
    return lattice_of(vectors.reshape(-1, dim)).numpy()


def test_few_pairs_are_formed_where_vectors_are_like_videos() -> None:
    lattice, found = scenes(80, 50, 128), []
    for tuning in (ON_CPU, replace(ON_CPU, pairs_devices=frozenset[str]())):
        tuning = replace(tuning, pruning_devices=frozenset())
        vectors = Vectors(ArraySource(lattice), [0, 4000], 128, CPU, tuning=tuning)
        corpus = LocalPartitions([Partition.without_centers(np.arange(4000), vectors)])
        found.append(greedy_k_center(corpus, Goal(300), tuning=replace(tuning, pool_rows=256)))
    screened, plain = found
    assert np.array_equal(screened.rows, plain.rows)
    assert np.array_equal(screened.radius, plain.radius)
    assert plain.distances_formed == 4000 * 300
    assert screened.distances_formed < 0.05 * plain.distances_formed


def test_where_nothing_is_ruled_out_it_is_not_tried_tile_after_tile() -> None:
    rng = np.random.default_rng(0)
    lattice = lattice_of(1 + 0.01 * rng.normal(size=(1000, 128))).numpy()
    tuning = replace(ON_CPU, pairs_values=128 * 100, pruning_devices=frozenset())
    vectors = Vectors(ArraySource(lattice), [0, 1000], 128, CPU, tuning=tuning)
    part = assign(Partition.without_centers(np.arange(1000), vectors), np.arange(64), lattice[:64])
    assert part.rough_distances_formed == 100 * 64
    assert part.distances_formed == 1000 * 64
    wide = lattice.astype(np.int64)
    squared = ((wide[:, None] - wide[None, :64]) ** 2).sum(axis=2)
    assert np.array_equal(part.distance.numpy(), squared.min(axis=1))
    assert np.array_equal(part.center, squared.argmin(axis=1))


def test_a_row_stays_with_its_center_where_a_new_one_is_as_near() -> None:
    lattice, found = np.repeat(walks(60, 16, 3), 2, axis=0), []
    by_pairs = replace(ON_CPU, pairs_dense_share=1.0, pruning_devices=frozenset())
    for tuning in (by_pairs, replace(by_pairs, pairs_devices=frozenset[str]())):
        vectors = Vectors(ArraySource(lattice), [0, 120], 16, CPU, tuning=tuning)
        part = Partition.without_centers(np.arange(120), vectors)
        for start in (0, 11, 80):  # ten of the second are among the first
            part = assign(part, np.arange(start, start + 20), lattice[start : start + 20])
        found.append(part)
    assert torch.equal(found[0].distance, found[1].distance)
    assert np.array_equal(found[0].center, found[1].center)
    wide = lattice.astype(np.int64)
    centers = np.concatenate([wide[start : start + 20] for start in (0, 11, 80)])
    squared = ((wide[:, None] - centers[None]) ** 2).sum(axis=2)
    assert np.array_equal(found[0].center, squared.argmin(axis=1))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dim", [64, 250, 512, 2048])
def test_products_are_summed_up_as_is_assumed(device: str, dim: int) -> None:
    on = torch.device(checked(device))
    rows = lattice_of(1 + np.random.default_rng(0).normal(size=(2000, dim)))
    if dim == 250:
        rows[:2] = torch.stack([worst(241), worst(249)])
    rounded = rows.bfloat16()
    wide = rounded.double()
    exact = (wide @ wide[:300].T).float()  # of whole numbers below 2^24
    there = rounded.to(on)
    found = torch.mm(there, there[:300].T).cpu().float()
    lost = (found - exact).abs() - _rounding(exact)
    assert float(lost.max()) <= 2 * SUMMAND_LOSS * dim


def test_it_is_for_devices_that_are_named() -> None:
    assert not pairs_pay(CPU, DEFAULT_TUNING)
    assert pairs_pay(CPU, ON_CPU)


def test_sums_are_kept_in_float32_and_the_setting_is_left_as_it_was() -> None:
    matmul, seen = torch.backends.cuda.matmul, []
    before = matmul.allow_bf16_reduced_precision_reduction
    rows = torch.from_numpy(walks(30, 16, 2))

    class Seeing(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function is torch.ops.aten.mm.out:
                seen.append(matmul.allow_bf16_reduced_precision_reduction)
            return function(*args, **(kwargs or {}))

    with Seeing():
        left_of(rows, Targets.from_lattice(rows[:5]), torch.full((30,), FAR))
    assert seen == [False]
    assert matmul.allow_bf16_reduced_precision_reduction == before
