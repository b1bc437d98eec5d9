"""Choosing what is like something, and not like something else, against the definitions."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coreframe
from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.choice import Budget, Choice, Method
from coreframe.tasks.select.derive import deriving
from coreframe.tasks.select.plan import plan_selection
from coreframe.tasks.select.preferences import best_share, weights
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.select.units import form_units
from coreframe.tasks.store.store import Store
from tests.kcenter.textbook import Asked, textbook
from tests.stores import make_store, measures, walks

LENGTHS = [200, 37, 160, 3, 400]
LIKE = ("frame:v0.mp4@4.0", "frame:v4.mp4@1.2")
UNLIKE = ("frame:v2.mp4@2.0",)
LIKE_ROWS, UNLIKE_ROWS = [100, 430], [287]


@pytest.fixture(scope="module")
def lattice() -> np.ndarray:
    return walks(sum(LENGTHS), 32, seed=11)


@pytest.fixture(scope="module")
def store(lattice: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("like") / "store", lattice, LENGTHS)


def scores(lattice: np.ndarray) -> np.ndarray:
    wide = lattice.astype(np.int64)
    return (wide @ wide[LIKE_ROWS].T).max(axis=1) - (wide @ wide[UNLIKE_ROWS].T).max(axis=1)


def select(store: Store, cluster: str, n: int, **options: Any) -> Selection:
    options = {"like": LIKE, "unlike": UNLIKE, "sharpest_within": 0.0} | options
    return choose_frames(store, Choice(budget=Budget(n), **options), "cpu", cluster)


def shares() -> st.SearchStrategy[float]:
    return st.sampled_from([0.001, 0.05, 0.1, 0.29, 0.5, 0.999, 1.0])


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=60),
    shares(),
)
def test_the_best_share_of_the_eligible(frames: list[tuple[int, bool]], share: float) -> None:
    score, eligible = np.array([one for one, _ in frames]), np.array([ok for _, ok in frames])
    found = best_share(score.astype(np.int64), eligible, share)
    ranked = sorted(np.flatnonzero(eligible).tolist(), key=lambda place: (-score[place], place))
    expected = ranked[: math.ceil(Fraction(str(share)) * len(ranked))]
    assert np.flatnonzero(found).tolist() == sorted(expected)


def test_a_share_is_the_number_that_was_written() -> None:
    """In binary 0.07 of 100 is a little more than 7."""
    assert best_share(np.arange(100), np.ones(100, bool), 0.07).sum() == 7


@given(
    st.lists(st.integers(-3, 3), min_size=12, max_size=12),
    st.integers(1, 3),
    st.none() | shares(),
    st.none() | st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_wishes_take_effect_in_their_order(
    score: list[int], length: int, share: float | None, strength: float | None, sharp: float
) -> None:
    """Limits, then the share, then all weights as one product; sequences by their mean."""
    sharpness = measures(12)[1]
    table = pd.DataFrame(
        {
            "row": np.arange(12),
            "video": np.zeros(12, np.int32),
            "digest": np.array([0, *range(11)], np.uint64),
            "suspect": False,
            "flat": False,
            "sharpness": sharpness,
            "like": np.array(score, np.int64),
        }
    )
    choice = Choice(
        like=["text:x"],
        like_share=share,
        like_strength=strength,
        prefer_sharp=sharp,
        sequence_length=length,
        minimum={"sharpness": 0.2},
        sharpest_within=0.0,
        keep_exact_duplicates=length > 1,
    )
    units = form_units(table, {0: 0}, choice)
    members = np.arange(12).reshape(-1, length)
    within = (sharpness[members] >= np.float32(0.2)).all(axis=1)
    if length == 1:
        within[1] = False  # the pixels of the one before it
    mean = np.array(score)[members].mean(axis=1)
    ranked = sorted(np.flatnonzero(within).tolist(), key=lambda place: (-mean[place], place))
    if share is not None:
        ranked = ranked[: math.ceil(Fraction(str(share)) * len(ranked))]
    eligible = np.isin(np.arange(len(members)), ranked)
    assert np.array_equal(units.eligible, eligible)
    assert units.less_like == length * (within.sum() - eligible.sum())
    assert units.rejected == length * (len(members) - within.sum() - (length == 1))
    weight = np.ones(len(members))
    default = 0.5 if share is None else 0.0
    for quality, amount in (
        (mean, default if strength is None else strength),
        (sharpness[members].astype(np.float64).mean(axis=1), sharp),
    ):
        below = [(quality[eligible] < own).sum() / max(1, eligible.sum()) for own in quality]
        weight *= 1 - amount * (1 - np.array(below))
    expected = np.rint(1024 * weight).astype(np.int64) ** 2
    found = np.full(len(members), 1024**2) if units.weight is None else units.weight
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"like_strength": 1.0},
        {"like_share": 0.1},
        {"like_share": 0.3, "like_strength": 0.4},
        {"like_share": 1.0},
        {"like": ()},
        {"unlike": ()},
    ],
    ids=str,
)
def test_picks_are_the_textbook_s(
    options: dict[str, Any], store: Store, lattice: np.ndarray, cluster: str
) -> None:
    score = scores(lattice)
    wide = lattice.astype(np.int64)
    if "like" in options:
        score = -(wide @ wide[UNLIKE_ROWS].T).max(axis=1)
    if "unlike" in options:
        score = (wide @ wide[LIKE_ROWS].T).max(axis=1)
    rows, share = np.arange(len(lattice)), options.get("like_share")
    if share is not None:
        best = sorted(rows.tolist(), key=lambda row: (-score[row], row))
        rows = np.array(sorted(best[: math.ceil(Fraction(str(share)) * len(rows))]))
    strength = options.get("like_strength", 0.5 if share is None else 0.0)
    weight = weights([(score[rows], strength)], np.ones(len(rows), bool))
    expected = rows[textbook(lattice[rows], Asked(40, weight=weight))["rows"]]
    found = select(store, cluster, 40, **options)
    assert found.frames["row"].tolist() == expected.tolist()
    plain = select(store, cluster, 40, like=(), unlike=()).frames["row"]
    if share != 1.0:
        assert score[found.frames["row"]].mean() > score[plain].mean()
        assert found.frames["row"].tolist() != plain.tolist()


@pytest.mark.integration
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("workers", "block_rows"), [(1, 33), (3, 100)])
def test_one_worker_and_three_choose_the_same(
    workers: int, block_rows: int, store: Store, lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    other = make_store(tmp_path / "s", lattice, LENGTHS, block_rows=block_rows)
    every: list[dict[str, Any]] = [
        {"like_share": 0.4, "like_strength": 0.7, "max_per_video": 9, "sharpest_within": None},
        {"like_share": 0.4, "like_strength": 0.7, "prefer_sharp": 0.3, "sequence_length": 3},
    ]
    with open_cluster(Compute(workers=workers, device="cpu")) as processes:
        for options in every:
            found = select(other, processes, 30, **options).frames
            expected = select(store, cluster, 30, **options).frames
            pd.testing.assert_frame_equal(
                found.drop(columns="digest"), expected.drop(columns="digest")
            )


@pytest.mark.parametrize("method", [Method.RANDOM, Method.FIXED_RATE])
def test_other_methods_take_a_share(
    method: Method, store: Store, lattice: np.ndarray, cluster: str
) -> None:
    found = select(store, cluster, 20, method=method, like_share=0.1).frames["row"].to_numpy()
    worst = np.sort(scores(lattice))[::-1][math.ceil(0.1 * len(lattice)) - 1]
    assert (scores(lattice)[found] >= worst).all()
    with pytest.raises(UsageError, match=f"method only: with {method} give like-share"):
        Choice(method=method, like=LIKE)
    with pytest.raises(UsageError, match="like-strength works with the coreset method only"):
        Choice(method=method, like=LIKE, like_strength=0.2, like_share=0.5)
    assert Choice(method=method, like=LIKE, like_strength=0.0, like_share=0.5).like_share == 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"like_strength": 0.5}, "like-strength says how much like and unlike count: give one"),
        ({"like_share": 0.5}, "like-share says how much like and unlike count: give one"),
        ({"like": LIKE, "like_strength": 1.1}, "like-strength 1.1 is not from 0 to 1"),
        ({"like": LIKE, "like_strength": -0.1}, "like-strength -0.1 is not from 0 to 1"),
        ({"unlike": LIKE, "like_share": 0.0}, "like-share 0.0 is not above 0 and at most 1"),
        ({"unlike": LIKE, "like_share": 1.1}, "like-share 1.1 is not above 0 and at most 1"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Choice(**options)


def test_without_queries_nothing_is_asked_of_the_embeddings(store: Store) -> None:
    def never(*_: object) -> np.ndarray:
        raise AssertionError

    plan = plan_selection(store, Choice(budget=Budget(5)), deriving(never))
    assert plan.units.weight is None
    assert Choice(like=LIKE, like_share=0.2).without_queries() == Choice()


def test_a_notebook_chooses_the_same(store: Store, cluster: str) -> None:
    options: dict[str, Any] = {"like_share": 0.3, "like_strength": 0.4}
    expected = select(store, cluster, 25, sharpest_within=None, **options).frames["row"]
    with coreframe.open(store.path) as corpus:
        found = corpus.select(n_samples=25, like=list(LIKE), unlike=list(UNLIKE), **options)
    assert found.frames["row"].tolist() == expected.tolist()


def test_a_kept_selection_goes_on_with_another_wish(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    """What was chosen stays, whatever it is like; what comes is what is asked for now."""
    store = make_store(tmp_path / "s", lattice, LENGTHS)
    first = select(store, cluster, 10, name="a", like=(), unlike=()).frames["row"]
    again = select(store, cluster, 30, name="a", like_share=0.05).frames["row"]
    assert again[:10].tolist() == first.tolist()
    best = np.argsort(-scores(lattice), kind="stable")[: math.ceil(0.05 * len(lattice))]
    assert np.isin(again[10:], best).all()
