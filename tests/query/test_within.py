"""A search among the frames that meet a condition, against a plain reading of it."""

from collections.abc import Mapping
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
from dask.distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

import coreframe
from coreframe.flows.cluster import DASK_SETTINGS
from coreframe.tasks.columns.add import add_columns
from coreframe.tasks.select.choice import Budget, Choice, Method
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.query.test_search import expected
from tests.stores import make_store, measures, walks

LENGTHS = [50, 1, 69]
ROWS = sum(LENGTHS)
VIDEO = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
FRAME = np.arange(ROWS) - np.cumsum([0, *LENGTHS])[VIDEO]
LATTICE = walks(ROWS, 8, 4)
LINES = 90


def boxes() -> pd.DataFrame:
    """Several lines of some frames, none of others."""
    rng = np.random.default_rng(2)
    row = rng.integers(0, ROWS, LINES)
    return pd.DataFrame(
        {
            "video": [f"v{video}.mp4" for video in VIDEO[row]],
            "frame_index": FRAME[row],
            "label": rng.choice(["bus", "car"], LINES),
            "conf": rng.integers(0, 9, LINES) / 8,
            "row": row,
        }
    )


BOXES = boxes()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Store]:
    """The same corpus in blocks of several sizes, by these."""
    folder = tmp_path_factory.mktemp("within")
    BOXES.drop(columns="row").to_parquet(folder / "boxes.parquet")
    found = {}
    for block_rows in (7, 32, 200):
        place = folder / str(block_rows)
        found[block_rows] = make_store(place, LATTICE, LENGTHS, block_rows=block_rows)
        add_columns(found[block_rows], "boxes", str(folder / "boxes.parquet"))
    return found


def meeting(label: str, conf: float, sharp: float, most: float) -> np.ndarray:
    """(n,) which frames meet the condition and both limits, as they are defined."""
    lines = BOXES[(BOXES["label"] == label) & (BOXES["conf"] > conf)]
    low = BOXES.groupby("row")["conf"].min().reindex(range(ROWS)).to_numpy()
    sharpness = measures(ROWS)[1]
    met = np.isin(np.arange(ROWS), lines["row"]) & (sharpness >= np.float32(sharp))
    return met & (low <= most)


def options(label: str, conf: float, sharp: float, most: float) -> dict[str, Any]:
    return {
        "where": f"label = '{label}' AND conf > {conf}",
        "min": [f"sharpness={sharp}"],
        "max": [f"conf={most}"],
    }


EIGHTHS = st.integers(0, 8).map(lambda eighths: eighths / 8)


@given(
    st.sampled_from(["bus", "car", "cat"]),
    EIGHTHS,
    EIGHTHS,
    EIGHTHS,
    st.integers(1, 30),
    st.sampled_from([0.0, 0.2]),
)
def test_only_what_meets_it_is_ranked(
    stores: Mapping[int, Store],
    label: str,
    conf: float,
    sharp: float,
    most: float,
    n: int,
    apart: float,
) -> None:
    asked = label, conf, sharp, most
    met = np.flatnonzero(meeting(*asked))
    name = np.array([f"v{video}.mp4" for video in VIDEO])[met]
    frames = pd.DataFrame({"row": met, "video": name, "time_s": FRAME[met] / 25})
    plain = expected(LATTICE[met], frames, LATTICE[10], n, apart)
    for store in stores.values():
        corpus, query = coreframe.open(store.path), "frame:v0.mp4@0.4"
        if len(met) == 0:
            with pytest.raises(coreframe.UsageError, match="is within the limits of min, max and"):
                corpus.search(query, **options(*asked))
            continue
        found = corpus.search(query, n_samples=n, min_apart=apart, **options(*asked))
        assert found.frames["row"].tolist() == plain
        verb = "meets" if len(met) == 1 else "meet"
        assert found.within == (
            f"{len(met)} of {ROWS} frames {verb} where label = '{label}' AND conf > {conf}, "
            f"min sharpness={sharp:g}, max conf={most:g}"
        )


def test_typical_can_be_asked_for(stores: Mapping[int, Store]) -> None:
    found = [
        coreframe.open(store.path).search(
            "frame:v0.mp4@0.4", n_samples=1000, min_apart=0, where="typical > 0.98"
        )
        for store in stores.values()
    ]
    assert 0 < len(found[0]) < ROWS
    assert len({tuple(one.frames["row"]) for one in found}) == 1


def test_nothing_asked_says_nothing(stores: Mapping[int, Store]) -> None:
    found = coreframe.open(stores[7].path).search("frame:v0.mp4@0.4", min_apart=0)
    assert (found.within, len(found)) == ("", 20)


@pytest.mark.integration
@pytest.mark.parametrize("workers", [1, 3])
def test_any_workers_choose_from_the_frames_that_a_search_ranks(
    stores: Mapping[int, Store], workers: int
) -> None:
    asked = ("car", 0.25, 0.25, 0.75)
    limits = {"minimum": {"sharpness": asked[2]}, "maximum": {"conf": asked[3]}}
    given = options(*asked)
    choice = Choice(Method.RANDOM, Budget(ROWS), where=given["where"], **limits)
    with (
        dask.config.set(DASK_SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
        ) as local,
    ):
        for store in stores.values():
            corpus = coreframe.open(store.path)
            found = corpus.search("frame:v0.mp4@0.4", n_samples=ROWS, min_apart=0, **given)
            chosen = choose_frames(store, choice, "cpu", local.scheduler_address)
            assert len(found) > 0
            assert set(chosen.frames["row"]) == set(found.frames["row"])
