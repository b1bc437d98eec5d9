"""Frames that nothing resembles are skipped: by definition, on stores, and as a person wants it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.derive import deriving
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.select.plan import plan_selection
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.select.units import form_units
from coreframe.tasks.store.store import Store
from tests.kcenter.textbook import Asked, textbook
from tests.neighbours.plain import nearest, scenes
from tests.stores import make_store, measures, walks


def typical(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """As README.md of `neighbours` says it; every row has k others at least."""
    squared = nearest(vectors, rows, k)[1]
    mean = np.array([sum(np.sqrt(float(one)) for one in own) / (k * 4000) for own in squared])
    return np.clip(1 - mean / 2, 0, 1)


@given(
    st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=6, max_size=30),
    st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5, 0.99]),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_the_least_typical_of_what_is_left_are_skipped(
    typical: list[float], share: float, length: int, keep: bool, seed: int
) -> None:
    n = len(typical)
    rng = np.random.default_rng(seed)
    luminance, sharpness = measures(n)
    table = pd.DataFrame(
        {
            "row": np.arange(n),
            "video": 0,
            "digest": rng.integers(1 + n // 3, size=n).astype(np.uint64),
            "suspect": rng.random(n) < 0.05,
            "flat": rng.random(n) < 0.05,
            "sharpness": sharpness,
            "luminance": luminance,
            "typical": typical,
        }
    )
    choice = Choice(
        skip_outliers=share,
        sequence_length=length,
        keep_exact_duplicates=keep,
        minimum={"sharpness": 0.3},
        budget=Budget(length),
    )
    units = form_units(table, {0: 0}, choice)
    seen: list[int] = []
    digests = [tuple(table["digest"][at : at + length]) for at in units.rows]
    for unit, row in enumerate(units.rows):
        own = table.iloc[row : row + length]
        if not own["suspect"].any() and not own["flat"].all():
            earlier = [digests[one] for one in seen]
            if keep or digests[unit] not in earlier:
                seen.append(unit)
    value = {unit: np.mean(typical[units.rows[unit] :][:length]) for unit in seen}
    count = int(round(share * 100) * len(seen) // 100)
    skipped = sorted(seen, key=lambda unit: (value[unit], -unit))[:count]
    assert units.skipped.tolist() == units.rows[sorted(skipped)].tolist()
    assert units.outliers == length * count
    for unit, row in enumerate(units.rows):
        own = table.iloc[row : row + length]
        gone = unit in skipped or (
            not keep
            and not own["suspect"].any()
            and not own["flat"].all()
            and digests[unit] in [digests[one] for one in skipped]
        )
        assert units.shown[unit] == (not own["flat"].all() and not gone)
        good = (own["sharpness"] >= np.float32(0.3)).all()
        assert units.eligible[unit] == (unit in seen and unit not in skipped and good)
    assert units.unmeasured.tolist() == units.rows[~units.shown].tolist()


@pytest.fixture(scope="module")
def lattice() -> np.ndarray:
    vectors = walks(300, 24, 3)
    vectors[[20, 130, 131, 250]] = walks(4, 24, 99)[:, ::-1]
    return vectors


@pytest.fixture
def store(lattice: np.ndarray, tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", lattice, [100, 100, 100], undecodable=(5,))


@pytest.mark.parametrize(("k", "share"), [(5, 0.05), (1, 0.1), (7, 0.5)])
def test_on_workers_it_is_the_textbook_over_the_others(
    k: int, share: float, store: Store, lattice: np.ndarray, cluster: str
) -> None:
    rows = np.setdiff1d(np.arange(300), [5])
    value = typical(lattice, rows, k)
    count = int(share * 100) * len(rows) // 100
    skipped = rows[np.lexsort((-rows, value))[:count]]
    left = np.setdiff1d(rows, skipped)
    choice = Choice(budget=Budget(30), skip_outliers=share, neighbours=k, sharpest_within=0)
    selection = choose_frames(store, choice, "cpu", cluster)
    assert selection.chosen.tolist() == left[textbook(lattice[left], Asked(30))["rows"]].tolist()
    assert selection.units.skipped.tolist() == np.sort(skipped).tolist()
    assert choose_here(store, choice, "cpu").chosen.tolist() == selection.chosen.tolist()
    assert not np.isin(selection.units.measured, skipped).any()


def test_typical_is_a_measure_with_limits(store: Store, lattice: np.ndarray) -> None:
    rows = np.setdiff1d(np.arange(300), [5])
    value = typical(lattice, rows, 5)
    least, most = np.sort(value)[[40, 250]]
    limits = {"minimum": {"typical": float(least)}, "maximum": {"typical": float(most)}}
    units = plan_selection(store, Choice(**limits), deriving()).units
    good = (value >= least) & (value <= most)
    assert np.array_equal(units.choosable, rows[good])
    assert (units.rejected, units.outliers) == (int((~good).sum()), 0)
    assert len(units.measured) == 299
    with pytest.raises(UsageError, match=r"typical is 0\.\d+ to 0\.\d+"):
        plan_selection(store, Choice(minimum={"typical": 1.5}), deriving())


def test_sequences_are_as_typical_as_their_frames(store: Store, lattice: np.ndarray) -> None:
    choice = Choice(budget=Budget(40), skip_outliers=0.1, sequence_length=4)
    units = plan_selection(store, choice, deriving()).units
    rows = np.setdiff1d(np.arange(300), [5])
    every = np.zeros(300)
    every[rows] = typical(lattice, rows, 5)
    first = np.setdiff1d(np.arange(0, 300, 4), [4])
    value = every[first[:, None] + np.arange(4)].mean(axis=1)
    assert units.skipped.tolist() == np.sort(first[np.lexsort((-first, value))[:7]]).tolist()
    assert units.outliers == 28
    chosen = choose_here(store, choice, "cpu").chosen
    assert not np.isin(chosen, units.skipped).any()


def test_methods_without_a_coreset_skip_them_too(store: Store) -> None:
    for method in ("random", "fixed-rate"):
        choice = Choice(method=method, budget=Budget(200), skip_outliers=0.3)  # type: ignore[arg-type]
        selection = choose_here(store, choice, "cpu")
        assert not np.isin(selection.chosen, selection.units.skipped).any()
        assert len(selection.units.skipped) == int(0.3 * 299)


def test_what_was_chosen_before_stays_chosen(store: Store) -> None:
    before = choose_here(store, Choice(budget=Budget(20), name="nightly"), "cpu").chosen
    choice = Choice(budget=Budget(30), name="nightly", skip_outliers=0.2)
    after = choose_here(store, choice, "cpu")
    assert after.chosen[:20].tolist() == before.tolist()
    assert np.isin(before, after.units.skipped).any()
    assert not np.isin(after.added, after.units.skipped).any()


N_SCENES, SCENE, ODD = 60, (9, 40), 0.02


def odd_corpus(folder: Path, seed: int) -> tuple[Store, np.ndarray, np.ndarray]:
    """Scenes of 9 or more near frames, and among them odd frames, each its own picture.

    Returns:
        The store, the scene of each row, and which rows are odd (2 % of all).
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(*SCENE, size=N_SCENES)
    scene = np.repeat(np.arange(N_SCENES), lengths)
    vectors = scenes(N_SCENES, int(lengths.max()), 64, seed).reshape(N_SCENES, -1, 64)
    rows = np.concatenate([own[:n] for own, n in zip(vectors, lengths, strict=True)])
    total = int(len(rows) / (1 - ODD))
    odd = np.zeros(total, bool)
    odd[rng.choice(total, total - len(rows), replace=False)] = True
    every = scenes(total, 1, 64, seed + 1)
    every[~odd] = rows
    scene_of = np.full(total, -1)
    scene_of[~odd] = scene
    half = total // 2
    flat = tuple(np.flatnonzero(odd)[:2].tolist())  # black frames, say
    return make_store(folder / "store", every, [half, total - half], flat=flat), scene_of, odd


@pytest.mark.parametrize("seed", range(3))
def test_no_odd_frame_is_chosen_and_every_scene_is(seed: int, tmp_path: Path) -> None:
    store, scene, odd = odd_corpus(tmp_path, seed)
    share = odd.sum() / len(odd)
    assert 0.018 < share <= 0.02

    def chosen(**options: float) -> Selection:
        choice = Choice(budget=Budget(90), keep_flat=True, keep_suspect=True, **options)  # type: ignore[arg-type]
        return choose_here(store, choice, "cpu")

    skipping, plain = chosen(skip_outliers=ODD), chosen()
    print(f"of {odd.sum()} odd frames the plain coreset chooses {odd[plain.chosen].sum()}")
    assert odd[skipping.chosen].sum() == 0
    assert set(scene[skipping.chosen]) == set(range(N_SCENES))
    assert odd[plain.chosen].sum() == odd.sum()  # it goes for them
    assert skipping.units.outliers == int(ODD * len(odd)) >= odd.sum()
