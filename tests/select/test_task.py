"""The select stage on stores of given embeddings, against the textbook, on Dask workers."""

import os
import shutil
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.kcenter.exchange import Substitutes
from coreframe.tasks.kcenter.layout import block_cuts
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import mean_vectors
from coreframe.tasks.scale import squared_reach, squared_threshold
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.preferences import weights
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.kcenter.textbook import Asked, textbook
from tests.stores import make_store, measures, walks

LENGTHS = [200, 37, 160, 3, 400]


@pytest.fixture(scope="module")
def lattice() -> np.ndarray:
    return walks(sum(LENGTHS), 64, seed=11)


@pytest.fixture(scope="module")
def store(lattice: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(
        tmp_path_factory.mktemp("select") / "store",
        lattice,
        LENGTHS,
        undecodable=(5, 6, 210),
        copies={300: 12, 301: 13},
    )


def select(
    store: Store,
    cluster: str,
    n: int | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    **options: Any,
) -> Selection:
    budget = Budget(n, **{k: options.pop(k) for k in ("min_distance", "radius") if k in options})
    return choose_frames(store, Choice(budget=budget, **options), "cpu", cluster, tuning)


def eligible(store: Store) -> np.ndarray:
    frames = store.frames()
    frames = frames[frames["state"] == "ok"]
    return frames["row"][~frames["digest"].duplicated()].to_numpy()


def check(selection: Selection, lattice: np.ndarray, rows: np.ndarray, asked: Asked) -> None:
    """The new picks are those of the textbook over the given rows; ``before`` counts these."""
    expected = textbook(lattice[rows], asked)
    new = selection.frames.iloc[len(asked.before) :]
    assert new["row"].tolist() == rows[expected["rows"]].tolist()
    for name, key, scale in (("radius", "radius", 1), ("lower_bound", "bound", 2)):
        l2 = np.sqrt(np.array(expected[key], np.float64)) / 4000 / scale
        assert np.array_equal(new[name].to_numpy(), l2), name
    assert selection.frames["rank"].tolist() == list(range(len(selection.frames)))


def test_plain_coreset(store: Store, lattice: np.ndarray, cluster: str) -> None:
    selection = select(store, cluster, 60)
    check(selection, lattice, eligible(store), Asked(60))
    assert (selection.decodable, selection.units.duplicates) == (797, 2)
    assert not selection.frames["preselected"].any()
    assert selection.frames["sequence"].tolist() == list(range(60))
    assert selection.distances_formed < 60 * 795


def test_radius(store: Store, lattice: np.ndarray, cluster: str) -> None:
    curve = select(store, cluster, 200).frames["radius"]
    selection = select(store, cluster, radius=0.15)
    assert selection.stopped_by == "radius"
    assert len(selection.frames) == int(np.argmax(curve.to_numpy() <= 0.15)) + 1
    assert selection.frames["radius"].iloc[-1] <= 0.15
    check(selection, lattice, eligible(store), Asked(999, radius=int(0.15**2 * 4000**2)))


def test_quality_limits_change_what_is_covered(
    store: Store, lattice: np.ndarray, cluster: str
) -> None:
    luminance, sharpness = measures(len(lattice))
    rows = eligible(store)
    good = (sharpness >= np.float32(0.4)) & (luminance <= np.float32(0.9))
    selection = select(store, cluster, 30, minimum={"sharpness": 0.4}, maximum={"luminance": 0.9})
    check(selection, lattice, rows[good[rows]], Asked(30))
    with pytest.raises(UsageError, match=r"none of the 797 frames .*sharpness is 0 to 0.9"):
        select(store, cluster, 30, minimum={"sharpness": 1.5})


def test_sharp_frames_are_preferred(store: Store, lattice: np.ndarray, cluster: str) -> None:
    rows = eligible(store)
    sharpness = measures(len(lattice))[1]
    quality = sharpness[rows].astype(np.float64)
    weight = weights([(quality, 0.5)], np.ones(len(rows), bool))
    selection = select(store, cluster, 60, prefer_sharp=0.5)
    check(selection, lattice, rows, Asked(60, weight=weight))
    plain = select(store, cluster, 60).frames["row"]
    assert sharpness[selection.frames["row"]].mean() > sharpness[plain].mean() + 0.1


def test_a_pick_is_exchanged_for_a_sharper_frame_of_its_moment(
    store: Store, lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    rows, frames = eligible(store), store.frames().set_index("row")
    sharpness = measures(len(lattice))[1].astype(np.float64)
    near = Substitutes(
        rows=rows,
        video=frames["video"][rows].to_numpy(np.int64),
        time_s=frames["time_s"][rows].to_numpy(),
        quality=sharpness[rows],
        squared_within=squared_reach(0.3),
    )
    selection = select(store, cluster, 60, sharpest_within=0.3, min_distance=0.01)
    asked = Asked(60, squared_threshold(0.01), substitutes=near)
    check(selection, lattice, rows, asked)
    expected = textbook(lattice[rows], asked)
    picked, taken = rows[expected["picked"]], selection.frames["row"].to_numpy()
    assert selection.frames["center_row"].tolist() == picked.tolist()
    moved = picked != taken
    assert moved.sum() >= 10
    assert (sharpness[taken] > sharpness[picked])[moved].all()
    assert (frames["video"][taken].to_numpy() == frames["video"][picked].to_numpy()).all()
    # kept ones stay as they are, and keep what they were taken for
    place = copied(store, tmp_path)
    first = select(place, cluster, 20, sharpest_within=0.3, name="a").frames
    again = select(place, cluster, 60, sharpest_within=0.3, name="a").frames
    plain = select(place, cluster, 70, name="a").frames
    for later in (again, plain):
        assert later["row"][:20].tolist() == first["row"].tolist()
        assert later["center_row"][:20].tolist() == first["center_row"].tolist()
    assert plain["row"][:60].tolist() == again["row"].tolist()
    assert (plain["row"] == plain["center_row"])[60:].all()
    eights = select(store, cluster, 80, sequence_length=8, sharpest_within=0.5).frames
    assert (eights["row"] - eights["center_row"]).abs().max() >= 8
    assert (
        np.ptp((eights["row"] - eights["center_row"]).to_numpy().reshape(-1, 8), axis=1) == 0
    ).all()


def copied(store: Store, folder: Path) -> Store:
    """A store of one's own."""
    shutil.copytree(store.path, folder / "copy")
    return Store.open(folder / "copy")


def test_cap_and_floor_per_video(store: Store, lattice: np.ndarray, cluster: str) -> None:
    rows = eligible(store)
    video = np.repeat(np.arange(5), LENGTHS)[rows]
    selection = select(store, cluster, 40, min_per_video=3, max_per_video=12)
    check(selection, lattice, rows, Asked(40, video=video, least=3, most=12))
    counts = selection.frames["video"].value_counts()
    assert counts.min() >= 3
    assert counts.max() <= 12
    full = select(store, cluster, 60, max_per_video=6)
    assert full.stopped_by == "max_per_video"
    assert len(full.frames) == 3 + 4 * 6
    with pytest.raises(UsageError, match="min-per-video 9 needs 39 frames of the 5 videos"):
        select(store, cluster, 20, min_per_video=9)


def test_sequences(store: Store, lattice: np.ndarray, cluster: str) -> None:
    selection = select(store, cluster, 50, sequence_length=8)
    frames = selection.frames
    assert len(frames) == 48
    assert frames["sequence"].tolist() == np.repeat(np.arange(6), 8).tolist()
    for _, own in frames.groupby("sequence"):
        assert own["row"].tolist() == list(range(own["row"].iloc[0], own["row"].iloc[0] + 8))
        assert own["video"].nunique() == 1
    units = selection.units.choosable
    means = mean_vectors(lambda rows: lattice[rows], 8)(units)
    expected = textbook(means, Asked(6))
    assert frames["row"][::8].tolist() == units[expected["rows"]].tolist()
    capped = select(store, cluster, 96, sequence_length=8, max_per_video=20, min_per_video=1)
    assert capped.frames["video"].value_counts().max() == 16
    assert capped.frames["video"].nunique() == 4
    with pytest.raises(UsageError, match="no video has 500 consecutive"):
        select(store, cluster, 1000, sequence_length=500)


@pytest.mark.parametrize("counted", [False, True])
def test_preselected_frames_come_first_and_are_flagged(
    counted: bool, store: Store, lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    mine = [700, 3, 301, 250, 4]  # 301 is a duplicate that would never be chosen
    frames = store.frames().set_index("row").loc[mine]
    listed = pd.DataFrame(
        {"video": [f"v{v}.mp4" for v in frames["video"]], "frame_index": frames["frame_index"]}
    )
    listed.to_csv(tmp_path / "mine.csv", index=False)
    listed.assign(more=1).to_parquet(tmp_path / "mine.parquet")
    selections = [
        select(
            store,
            cluster,
            30,
            preselected=str(tmp_path / file),
            count_preselected=counted,
            max_per_video=12,
        )
        for file in ("mine.csv", "mine.parquet")
    ]
    pd.testing.assert_frame_equal(selections[0].frames, selections[1].frames)
    table = selections[0].frames
    assert table["row"][:5].tolist() == mine
    assert table["preselected"].tolist() == [True] * 5 + [False] * (len(table) - 5)
    assert len(table) == (30 if counted else 35)
    assert table["video"].value_counts().max() <= 12

    rows = eligible(store)
    inside = np.append(rows, 301)
    wide = lattice[inside].astype(np.int64)
    places = [int(np.flatnonzero(inside == row)[0]) for row in mine]
    video = np.repeat(np.arange(5), LENGTHS)[inside]
    asked = Asked(25 if counted else 30, video=video, most=12, before=places)
    check(selections[0], lattice, inside, asked)
    distance = ((wide[:, None] - wide[None, places]) ** 2).sum(axis=2)
    radius = np.sqrt(np.minimum.accumulate(distance, axis=1).max(axis=0)) / 4000
    assert np.array_equal(table["radius"][:5], radius)


def test_preselected_frames_that_cannot_be_had_are_named(
    store: Store, cluster: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    for content, message in (
        ("video,frame_index\nv9.mp4,3\nv0.mp4,1", "frame 3 of v9.mp4 .* no such video"),
        ("video,frame_index\nv0.mp4,5", "frame 5 of v0.mp4 .* no such decodable frame"),
        ("video,time\nv0.mp4,5", "no column frame_index"),
        ("video,frame_index\nv0.mp4,x", "whole number"),
        ("video,frame_index\nv0.mp4,1.5", "whole number"),
        ("", r"cannot read the preselected frames in .*mine\.csv"),
    ):
        file.write_text(content)
        with pytest.raises(UsageError, match=message):
            select(store, cluster, 30, preselected=str(file))
    file.with_suffix(".parquet").write_text("no table")
    for path in (file.with_suffix(".parquet"), tmp_path / "nowhere.csv"):
        with pytest.raises(UsageError, match=f"cannot read .*{path.name}"):
            select(store, cluster, 30, preselected=str(path))


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("workers", "block_rows"), [(1, 64), (3, 50)])
def test_workers_and_blocks_change_nothing(
    workers: int, block_rows: int, store: Store, lattice: np.ndarray, tmp_path: Path, cluster: str
) -> None:
    other = make_store(
        tmp_path / "s", lattice, LENGTHS, block_rows=block_rows, undecodable=(5, 6, 210)
    )
    options: dict[str, Any] = {"prefer_sharp": 0.3, "max_per_video": 30, "min_per_video": 2}
    with open_cluster(Compute(workers=workers, device="cpu")) as processes:
        found = select(other, processes, 90, keep_exact_duplicates=True, **options)
    expected = select(store, cluster, 90, keep_exact_duplicates=True, **options)
    pd.testing.assert_frame_equal(
        found.frames.drop(columns="digest"), expected.frames.drop(columns="digest")
    )


def test_a_killed_worker_changes_nothing(store: Store, cluster: str, processes: str) -> None:
    expected = select(store, cluster, 120)
    killed = []
    original = DaskPartitions.farthest

    def farthest(self: DaskPartitions, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) in (3, 5):  # while the workers take up centers
            with Client(processes) as client:
                pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return original(self, *arguments)

    calls: list[int] = []
    with (
        mock.patch.object(DaskPartitions, "farthest", farthest),
    ):
        found = select(store, processes, 120, Tuning(pool_rows=16, pool_values=0))
    assert len(killed) == 2
    assert len(calls) > 6
    pd.testing.assert_frame_equal(found.frames, expected.frames)
    assert found.stopped_by == expected.stopped_by


def grown(lattice: np.ndarray, folder: Path, rows: int, **more: Any) -> Store:
    """A store of the first rows, or the store of fewer of them grown to these."""
    ends = np.cumsum(LENGTHS)
    lengths = [n - max(0, int(end) - rows) for n, end in zip(LENGTHS, ends, strict=True)]
    return make_store(folder / "s", lattice[:rows], [n for n in lengths if n > 0], **more)


@pytest.mark.parametrize("options", [{}, {"prefer_sharp": 0.4, "max_per_video": 40}])
def test_extending_equals_preselecting_what_was_there(
    options: dict[str, Any], lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 400)
    first = select(store, cluster, 50, name="nightly", **options)
    again = select(store, cluster, 50, name="nightly", **options)
    assert (again.kept, first.kept) == (50, 0)
    pd.testing.assert_frame_equal(again.frames, first.frames)

    more = select(store, cluster, 70, name="nightly", **options)
    if not options:
        at_once = select(store, cluster, 70)
        pd.testing.assert_frame_equal(more.frames, at_once.frames)

    store = grown(lattice, tmp_path, 800)
    extended = select(store, cluster, 120, name="nightly", **options)
    assert extended.kept == 70
    names = {v.video: v.path for v in store.read_catalogue().videos}
    listed = more.frames.assign(video=more.frames["video"].map(names))
    listed.to_parquet(tmp_path / "before.parquet")
    afresh = select(
        store,
        cluster,
        120,
        preselected=str(tmp_path / "before.parquet"),
        count_preselected=True,
        **options,
    )
    same = ["row", "distance", "radius"]
    pd.testing.assert_frame_equal(extended.frames[same], afresh.frames[same])
    assert (
        extended.frames["lower_bound"][70:].tolist() == afresh.frames["lower_bound"][70:].tolist()
    )
    assert extended.stopped_by == afresh.stopped_by
    assert not extended.frames["preselected"].any()
    assert afresh.frames["preselected"].sum() == 70
    assert len(list((Path(store.path) / "selections" / "nightly").iterdir())) == 2  # one generation


def test_kept_state_is_true(lattice: np.ndarray, cluster: str, tmp_path: Path) -> None:
    store = grown(lattice, tmp_path, 700)
    for n in (30, 45):
        picks = select(store, cluster, n, name="mine").frames["row"].to_numpy()
        files = sorted((Path(store.path) / "selections" / "mine").glob("*/rows-*.npy"))
        state = np.concatenate([np.load(file) for file in files])
        squared = ((lattice[:700, None].astype(np.int64) - lattice[None, picks]) ** 2).sum(axis=2)
        assert state["row"].tolist() == list(range(700))
        assert np.array_equal(state["distance"], squared.min(axis=1))
        place = pd.Series(np.arange(n), index=picks)[state["center"]].to_numpy()
        assert np.array_equal(squared[np.arange(700), place], squared.min(axis=1))


def test_kept_state_is_true_however_often_the_store_has_grown(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    for rows, n in ((300, 20), (550, 30), (800, 40)):  # new rows go to all workers
        store = grown(lattice, tmp_path, rows)
        picks = select(store, cluster, n, name="mine").frames["row"].to_numpy()
        files = list((Path(store.path) / "selections" / "mine").glob("*/rows-*.npy"))
        state = np.sort(np.concatenate([np.load(file) for file in files]), order="row")
        squared = ((lattice[:rows, None].astype(np.int64) - lattice[None, picks]) ** 2).sum(axis=2)
        assert len(files) > 1
        assert state["row"].tolist() == list(range(rows))
        assert np.array_equal(state["distance"], squared.min(axis=1))
        assert np.array_equal(state["center"], picks[squared.argmin(axis=1)])


def test_extending_where_nothing_may_be_chosen_keeps_what_was(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 400)
    first = select(store, cluster, 50, name="nightly")
    again = select(store, cluster, 60, name="nightly", minimum={"luminance": 2.0})
    assert again.frames["row"].tolist() == first.frames["row"].tolist()
    assert again.stopped_by == "exhausted"


def test_centers_whose_video_is_gone_stay_chosen(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 800)
    before = select(store, cluster, 60, name="nightly").frames["row"].tolist()
    catalogue = store.read_catalogue()
    catalogue.update(2, state="missing", reason="its file is gone")
    store.write_catalogue(catalogue)
    after = select(store, cluster, 90, name="nightly")
    rows = np.concatenate([np.arange(237), np.arange(397, 800)])
    assert after.frames["row"][:60].tolist() == before
    assert after.gone == 0
    assert after.absent == int((~np.isin(before, rows)).sum()) > 0
    chosen = after.frames["row"].to_numpy()
    assert np.isin(chosen[60:], rows).all()
    integers = lattice.astype(np.int64)
    squared = ((integers[rows][:, None] - integers[chosen[:60]][None]) ** 2).sum(axis=2).min(axis=1)
    for pick in chosen[60:]:  # the textbook, over the frames that are there
        assert squared[np.searchsorted(rows, pick)] == squared.max()
        squared = np.minimum(squared, ((integers[rows] - integers[pick]) ** 2).sum(axis=1))


def test_centers_whose_video_is_gone_leave_on_demand_and_their_frames_are_covered_anew(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 800)
    before = select(store, cluster, 60, name="nightly").frames
    catalogue = store.read_catalogue()
    catalogue.update(2, state="missing", reason="its file is gone")
    store.write_catalogue(catalogue)
    rows = np.concatenate([np.arange(237), np.arange(397, 800)])
    left = before["row"][np.isin(before["row"], rows)].to_numpy()
    after = select(store, cluster, 60, name="nightly", drop_gone=True)
    assert (after.gone, after.kept) == (60 - len(left), len(left))
    assert after.gone > 0
    places = np.searchsorted(rows, left).tolist()
    check(after, lattice, rows, Asked(60 - len(left), before=places))
    assert after.frames["radius"][: len(left)].isna().all()


def test_preselected_can_be_added_to_a_kept_selection(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 800)
    before = select(store, cluster, 20, name="nightly").frames["row"].tolist()
    (tmp_path / "mine.csv").write_text("video,frame_index\nv0.mp4,100\nv4.mp4,7\n")
    for _ in range(2):
        both = select(store, cluster, 30, name="nightly", preselected=str(tmp_path / "mine.csv"))
        assert both.frames["row"][:22].tolist() == [*before, 100, 407]
        assert both.frames["preselected"].sum() == 2
        assert len(both.frames) == 32
    check(
        select(store, cluster, 30, preselected=str(tmp_path / "mine.csv")),
        lattice,
        np.arange(800),
        Asked(30, before=[100, 407]),
    )


def test_a_kept_selection_cannot_be_misused(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 400)
    select(store, cluster, 20, name="nightly")
    with pytest.raises(UsageError, match="sequence-length 1, not 4"):
        select(store, cluster, 20, name="nightly", sequence_length=4)
    with pytest.raises(UsageError, match=r"name '\.\./x': use up to 100 letters"):
        select(store, cluster, 20, name="../x")
    folder = Path(store.path) / "selections" / "nightly"
    (next(folder.glob("*/centers.parquet"))).write_text("damaged")
    with pytest.raises(CoreframeError, match=r"/nightly cannot be read .* delete the folder"):
        select(store, cluster, 20, name="nightly")


def test_a_run_that_ends_before_its_commit_leaves_the_last_state(
    lattice: np.ndarray, cluster: str, tmp_path: Path
) -> None:
    store = grown(lattice, tmp_path, 400)
    first = select(store, cluster, 20, name="nightly").frames
    with (
        mock.patch(
            "coreframe.tasks.store.named_selections.save_array", side_effect=OSError("full")
        ),
        pytest.raises(OSError, match="full"),
    ):
        select(store, cluster, 40, name="nightly")
    again = select(store, cluster, 20, name="nightly")
    pd.testing.assert_frame_equal(again.frames, first)
    assert len(select(store, cluster, 40, name="nightly").frames) == 40


def test_vectors_that_do_not_fit_are_read_again(
    store: Store, lattice: np.ndarray, cluster: str
) -> None:
    read: list[int] = []
    from coreframe.tasks.kcenter.job import StoredUnits

    original = StoredUnits.read

    def noted(
        self: StoredUnits, start: int, stop: int, into: np.ndarray | None = None
    ) -> np.ndarray:
        read.append(stop - start)
        return original(self, start, stop, into)

    with mock.patch.object(StoredUnits, "read", noted):
        expected = select(store, cluster, 60).frames
        once = sum(read)
        read.clear()
        with mock.patch("coreframe.tasks.kcenter.on_dask._vectors_bytes", return_value=300 * 400):
            found = select(store, cluster, 60).frames
    assert once == len(eligible(store))
    assert sum(read) > 2 * once
    pd.testing.assert_frame_equal(found, expected)


def test_partitions_are_whole_blocks_of_like_size() -> None:
    rows = np.setdiff1d(np.arange(10_000), np.arange(3000, 3700))
    cuts = block_cuts(rows, 256, 4)
    parts = np.split(rows, cuts)
    assert len(parts) == 4
    assert all(a[-1] // 256 < b[0] // 256 for a, b in pairwise(parts))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2 * 256
    assert block_cuts(rows[:100], 256, 4) == []
    assert block_cuts(rows[:0], 256, 4) == []
