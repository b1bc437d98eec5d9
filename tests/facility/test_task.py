"""Facility location from stores of given embeddings, on Dask workers and in this process."""

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks.facility.field import Field
from coreframe.tasks.kcenter.vectors import mean_vectors
from coreframe.tasks.scale import squared_threshold
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.facility.textbook import textbook
from tests.kcenter.textbook import Asked
from tests.stores import make_store, measures, walks

LENGTHS = [150, 37, 110, 3, 200]


@pytest.fixture(scope="module")
def lattice() -> np.ndarray:
    return walks(sum(LENGTHS), 32, seed=11)


@pytest.fixture(scope="module")
def store(lattice: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("facility") / "store"
    return make_store(folder, lattice, LENGTHS, undecodable=(5, 6, 160), copies={300: 12, 301: 13})


def wish(n: int | None = None, **options: Any) -> Choice:
    budget = Budget(n, **{k: options.pop(k) for k in ("min_distance",) if k in options})
    return Choice(method="facility-location", budget=budget, **options)  # type: ignore[arg-type]


def eligible(store: Store) -> np.ndarray:
    frames = store.frames()
    frames = frames[frames["state"] == "ok"]
    return frames["row"][~frames["digest"].duplicated()].to_numpy()


def check(selection: Selection, lattice: np.ndarray, rows: np.ndarray, asked: Asked) -> None:
    expected = textbook(lattice[rows], asked)
    new = selection.frames.iloc[len(asked.before) :]
    assert new["row"].tolist() == rows[expected["rows"]].tolist()
    for name in ("radius", "distance"):
        l2 = np.sqrt(np.array(expected[name], np.float64)) / 4000
        skipped = 1 if name == "distance" and not asked.before else 0
        assert np.array_equal(new[name].to_numpy()[skipped:], l2[skipped:]), name
    assert selection.frames["lower_bound"].isna().all()


def test_plain(store: Store, lattice: np.ndarray, cluster: str) -> None:
    for selection in (
        choose_frames(store, wish(40), "cpu", cluster),
        choose_here(store, wish(40), "cpu"),
    ):
        check(selection, lattice, eligible(store), Asked(40))
        assert selection.units.duplicates == 2


def test_limits_quotas_and_min_distance(store: Store, lattice: np.ndarray) -> None:
    rows, sharpness = eligible(store), measures(len(lattice))[1]
    video = np.repeat(np.arange(5), LENGTHS)
    sharp = rows[sharpness[rows] >= np.float32(0.3)]
    asked = Asked(30, squared_threshold(0.1), video=video[sharp], least=2, most=9)
    options: dict[str, Any] = {"min_distance": 0.1, "min_per_video": 2, "max_per_video": 9}
    selection = choose_here(store, wish(30, minimum={"sharpness": 0.3}, **options), "cpu")
    check(selection, lattice, sharp, asked)


def test_sequences(store: Store, lattice: np.ndarray) -> None:
    selection = choose_here(store, wish(50, sequence_length=8), "cpu")
    units = selection.units.choosable
    means = mean_vectors(lambda rows: lattice[rows], 8)(units)
    expected = units[textbook(means, Asked(6))["rows"]]
    assert selection.frames["row"][::8].tolist() == expected.tolist()


@pytest.mark.parametrize("counted", [False, True])
def test_preselected_frames_come_first(
    counted: bool, store: Store, lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    mine = [400, 3, 301, 250]  # 301 is a duplicate that would never be chosen
    frames = store.frames().set_index("row").loc[mine]
    names = [f"v{video}.mp4" for video in frames["video"]]
    listed = pd.DataFrame({"video": names, "frame_index": frames["frame_index"]})
    listed.to_csv(tmp_path / "mine.csv", index=False)
    choice = wish(30, preselected=str(tmp_path / "mine.csv"), count_preselected=counted)
    selection = choose_frames(store, choice, "cpu", cluster)
    assert selection.frames["row"][:4].tolist() == mine
    rows = eligible(store)
    inside = np.append(rows, 301)
    before = [int(np.flatnonzero(inside == row)[0]) for row in mine]
    expected = textbook(lattice[inside], Asked(26 if counted else 30, before=before))
    found = selection.frames["row"][4:].tolist()
    assert len(found) == (26 if counted else 30)
    assert found == inside[expected["rows"]].tolist()


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("workers", "block_rows"), [(1, 64), (3, 50)])
def test_workers_and_blocks_change_nothing(
    workers: int, block_rows: int, store: Store, lattice: np.ndarray, tmp_path: Path
) -> None:
    other = make_store(
        tmp_path / "s", lattice, LENGTHS, block_rows=block_rows, undecodable=(5, 6, 160)
    )
    choice = wish(60, keep_exact_duplicates=True, max_per_video=25, min_per_video=2)
    with open_cluster(Compute(workers=workers, device="cpu")) as processes:
        found = choose_frames(other, choice, "cpu", processes)
    expected = choose_here(store, choice, "cpu")
    pd.testing.assert_frame_equal(
        found.frames.drop(columns="digest"), expected.frames.drop(columns="digest")
    )


def test_a_killed_worker_changes_nothing(store: Store, processes: str) -> None:
    expected = choose_here(store, wish(40), "cpu")
    original, calls, killed = Field.take, [], []

    def take(self: Field, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) in (3, 8):
            with Client(processes) as client:
                pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return original(self, *arguments)

    with mock.patch.object(Field, "take", take):
        found = choose_frames(store, wish(40), "cpu", processes)
    assert len(killed) == 2
    pd.testing.assert_frame_equal(found.frames, expected.frames)
