"""Choosing by what people know of frames: the picks of a plain reading, on any workers."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.columns.add import add_columns
from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.apportion import apportion
from coreframe.tasks.select.balance import NO_VALUE, Balance
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.columns import FrameColumns, KnownColumns
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.select.wishes import Wishes
from coreframe.tasks.store.store import Store
from tests.kcenter.textbook import Asked, textbook
from tests.stores import make_store, measures, walks

pytestmark = pytest.mark.integration

LENGTHS = [90, 1, 60, 120]
ROWS = sum(LENGTHS)
VIDEO = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
FRAME = np.arange(ROWS) - np.cumsum([0, *LENGTHS])[VIDEO]

KINDS = np.array(["bus", "car", "dog", None], object)


def known() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of the corpus: one line a frame and, of most frames, some boxes."""
    rng = np.random.default_rng(5)
    name = np.array([f"v{video}.mp4" for video in VIDEO.tolist()], object)
    night = rng.random(ROWS) < 0.3
    speed = np.where(rng.random(ROWS) < 0.9, rng.integers(0, 40, ROWS), np.nan)
    frames = pd.DataFrame(
        {
            "video": name,
            "frame_index": FRAME,
            "night": night,
            "speed": speed,
            "row": np.arange(ROWS),
        }
    )
    of = rng.integers(0, ROWS, 300)
    label = KINDS[np.minimum(3, rng.geometric(0.6, 300) - 1)]
    conf = np.where(rng.random(300) < 0.9, rng.integers(0, 9, 300) / 8, np.nan)
    boxes = pd.DataFrame(
        {"video": name[of], "frame_index": FRAME[of], "label": label, "conf": conf, "row": of}
    )
    return frames, boxes


RECORDER, BOXES = known()


def stored(folder: Path, lattice: np.ndarray, block_rows: int) -> Store:
    store = make_store(folder / "store", lattice, LENGTHS, block_rows=block_rows)
    for name, table in (("recorder", RECORDER), ("boxes", BOXES)):
        file = folder / f"{name}.parquet"
        table.drop(columns="row").to_parquet(file, index=False)
        add_columns(store, name, str(file))
    return store


@pytest.fixture(scope="module")
def lattice() -> np.ndarray:
    return walks(ROWS, 32, seed=3)


@pytest.fixture(scope="module")
def stores(lattice: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Store]:
    return {size: stored(tmp_path_factory.mktemp("known"), lattice, size) for size in (16, 64, 999)}


def grouped(column: str, how: str) -> np.ndarray:
    """(rows,) of the boxes of each frame."""
    return getattr(BOXES.groupby("row")[column], how)().reindex(range(ROWS)).to_numpy()


def plain_factor(values: np.ndarray, strength: float, eligible: np.ndarray) -> np.ndarray:
    """The definition of a preference, frame by frame."""
    own = values if strength > 0 else -values
    own = np.where(np.isnan(own), -np.inf, own)
    fewer = np.array([(own[eligible] < one).sum() for one in own])
    return 1 - abs(strength) * (1 - fewer / eligible.sum())


def classes_by_conf() -> list[str]:
    """Of each frame the label of its box with the largest conf, of equal ones the first."""
    found = [NO_VALUE] * ROWS
    for row, own in BOXES[BOXES["label"].notna()].groupby("row"):
        best = own.assign(conf=own["conf"].fillna(-np.inf)).sort_values("label")
        found[int(row)] = str(best.loc[best["conf"].idxmax(), "label"])
    return found


def wished(data: st.DataObject) -> tuple[dict[str, Any], dict[str, Any]]:
    """Some wishes, and of the textbook which frames may be chosen, their weights and classes."""
    options: dict[str, Any] = {"keep_exact_duplicates": True, "sharpest_within": 0.0}
    can = np.ones(ROWS, bool)
    if data.draw(st.booleans()):
        options["minimum"] = {"conf": 0.5, "luminance": 0.2}
        can &= (grouped("conf", "max") >= 0.5) & (measures(ROWS)[0] >= np.float32(0.2))
    if data.draw(st.booleans()):
        options["maximum"] = {"recorder.speed": 25, "night": 0}
        can &= (RECORDER["speed"].to_numpy() <= 25) & ~RECORDER["night"].to_numpy()
    if data.draw(st.booleans()):
        options["where"] = "label = 'dog' OR label IS NULL AND sharpness > 0.3"
        dogs = BOXES[BOXES["label"] == "dog"]["row"]
        nothing = BOXES[BOXES["label"].isna()]["row"]
        bare = np.isin(np.arange(ROWS), nothing) | ~np.isin(np.arange(ROWS), BOXES["row"])
        can &= np.isin(np.arange(ROWS), dogs) | (bare & (measures(ROWS)[1] > 0.3))
    factor = np.ones(ROWS)
    prefer = {}
    for name, values in {
        "conf": (grouped("conf", "max"), grouped("conf", "min")),
        "night": (RECORDER["night"].to_numpy(float),) * 2,
        "sharpness": (measures(ROWS)[1].astype(float),) * 2,
    }.items():
        strength = data.draw(st.sampled_from([0, 0, 0.25, 1.0, -0.5]))
        if strength:
            prefer[name] = strength
            factor = factor * plain_factor(values[strength < 0], strength, can)
    options["prefer"] = prefer
    plain: dict[str, Any] = {"can": can}
    if prefer:
        plain["weight"] = np.rint(1024 * factor).astype(np.int64) ** 2
    shares = data.draw(st.sampled_from([None, "uniform", "input"]))
    if shares:
        options["balance"] = (Balance("label", "conf", shares=shares),)
        plain["class"] = np.array(classes_by_conf())
        plain["shares"] = shares
    return options, plain


@given(data=st.data())
def test_any_wishes_choose_what_their_definitions_say(
    data: st.DataObject, stores: dict[int, Store], lattice: np.ndarray
) -> None:
    options, plain = wished(data)
    store = stores[data.draw(st.sampled_from(sorted(stores)))]
    n = data.draw(st.integers(1, 40))
    choice = Choice(budget=Budget(n), **options)
    rows = np.flatnonzero(plain["can"])
    if len(rows) == 0:
        with pytest.raises(UsageError, match="within the limits of min, max and where"):
            choose_here(store, choice, "cpu")
        return
    asked = Asked(n)
    if "weight" in plain:
        asked.weight = plain["weight"][rows]
    if "class" in plain:
        _, asked.classes = np.unique(plain["class"][rows], return_inverse=True)
        asked.video = VIDEO[rows]
        counts = np.bincount(asked.classes)
        asked.shares = tuple(
            Fraction(1) if plain["shares"] == "uniform" else Fraction(int(count))
            for count in counts
        )
    expected = textbook(lattice[rows], asked)
    selection = choose_here(store, choice, "cpu")
    assert selection.frames["row"].tolist() == rows[expected["rows"]].tolist()
    radius = np.sqrt(np.array(expected["radius"], float)) / 4000
    assert np.array_equal(selection.frames["radius"], radius)
    assert selection.units.rejected == ROWS - len(rows)


EVERYTHING: dict[str, Any] = {
    "where": "speed < 30 OR night",
    "minimum": {"conf": 0.25},
    "maximum": {"luminance": 0.95},
    "prefer": {"conf": -0.5, "sharpness": 0.4},
    "balance": (Balance("label", "conf"), Balance("night", shares="input")),
    "max_per_video": 14,
    "sharpest_within": 0.3,
}


@pytest.fixture(scope="module")
def clusters() -> Iterator[dict[int, str]]:
    import dask

    from coreframe.flows.cluster import DASK_SETTINGS

    def local(workers: int) -> LocalCluster:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
        )

    with dask.config.set(DASK_SETTINGS), local(1) as one, local(3) as three:
        yield {1: one.scheduler_address, 3: three.scheduler_address}


@pytest.mark.parametrize("wish", [*EVERYTHING, "all"])
def test_the_same_on_any_workers_and_blocks(
    wish: str, stores: dict[int, Store], clusters: dict[int, str]
) -> None:
    options = EVERYTHING if wish == "all" else {wish: EVERYTHING[wish]}
    choice = Choice(budget=Budget(30), **options)

    def frames(selection: Selection) -> pd.DataFrame:
        return selection.frames.drop(columns="digest")

    expected = frames(choose_here(stores[999], choice, "cpu"))
    assert len(expected) == 30
    for workers, block_rows in ((1, 16), (3, 16), (3, 64)):
        found = choose_frames(stores[block_rows], choice, "cpu", clusters[workers])
        pd.testing.assert_frame_equal(frames(found), expected)


SHARES = {"day": 0.9, "dusk": 0.06, "fog": 0.025, "night": 0.01, "snow": 0.005}


@pytest.mark.parametrize("mode", ["uniform", "input", "file"])
def test_quotas_are_exact_with_a_class_too_small_to_fill(
    mode: str, tmp_path: Path, clusters: dict[int, str]
) -> None:
    rows = 2000
    store = make_store(tmp_path / "store", walks(rows, 16, seed=8), [rows])
    counts = {name: round(share * rows) for name, share in SHARES.items()}
    weather = np.repeat(list(counts), list(counts.values()))
    np.random.default_rng(0).shuffle(weather)
    table = pd.DataFrame({"video": "v0.mp4", "frame_index": np.arange(rows), "weather": weather})
    table.to_csv(tmp_path / "weather.csv", index=False)
    add_columns(store, "weather", str(tmp_path / "weather.csv"))
    (tmp_path / "shares.csv").write_text("snow,0.5\nnight,0.3\nfog,0.2\nhail,0.1\n")
    shares = str(tmp_path / "shares.csv") if mode == "file" else mode
    balance = (Balance("weather", shares=shares),)
    choice = Choice(budget=Budget(103), balance=balance, keep_exact_duplicates=True)
    selection = choose_frames(store, choice, "cpu", clusters[3])
    got = pd.Series(weather[selection.frames["row"]]).value_counts().to_dict()
    told = {one.name: (one.eligible, one.asked, one.chosen) for one in selection.classes}
    if mode == "uniform":  # of 20 or 21 each there are but 10 of snow, and 20 of night
        assert got == {"day": 25, "dusk": 24, "fog": 24, "night": 20, "snow": 10}
        assert told["snow"] == (10, 20, 10)
        assert told["day"] == (1800, 21, 25)
    elif mode == "input":  # 92.7, 6.18, 2.575, 1.03, 0.515
        assert got == {"day": 93, "dusk": 6, "fog": 3, "night": 1}
        assert told["snow"] == (10, 0, 0)
    else:  # of hail there is nothing; 2 to 3 of night and fog share what snow lacks
        assert got == {"snow": 10, "night": 20, "fog": 50}
        assert told["hail"] == (0, 9, 0)
        assert told["day"] == (1800, 0, 0)
        assert selection.stopped_by == "balance"
    assert sum(chosen for _, _, chosen in told.values()) == len(selection.frames)
    assert sum(asked for _, asked, _ in told.values()) == 103
    plain = choose_frames(store, Choice(budget=Budget(103)), "cpu", clusters[3])
    assert plain.classes == []


def test_a_kept_selection_counts_in_its_classes(
    stores: dict[int, Store], lattice: np.ndarray, tmp_path: Path
) -> None:
    store = stored(tmp_path, lattice, 64)
    first = choose_here(store, Choice(budget=Budget(20), name="kept", where="night"), "cpu")
    assert RECORDER["night"].to_numpy()[first.frames["row"]].all()
    choice = Choice(budget=Budget(50), name="kept", balance=(Balance("night"),))
    second = choose_here(store, choice, "cpu")
    assert second.frames["row"].tolist()[:20] == first.frames["row"].tolist()
    assert RECORDER["night"].to_numpy()[second.frames["row"]].sum() == 25


def test_shares_are_apportioned_over_all_that_is_chosen(stores: dict[int, Store]) -> None:
    balance = (Balance("video", shares="input"),)
    choice = Choice(budget=Budget(37), balance=balance, min_per_video=3)
    selection = choose_here(stores[64], choice, "cpu")
    got = np.bincount(VIDEO[selection.frames["row"]]).tolist()
    assert got[1] == 1  # all there is of it
    digests = selection.units.classes
    assert digests is not None
    counts = [one.eligible for one in selection.classes]
    after = [3, 1, 3, 3]
    assert got == apportion(37, [Fraction(one) for one in counts], after, counts)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no column": ({"minimum": {"beauty": 1}}, "min beauty: there is no such column; use conf"),
    "text for a limit": ({"maximum": {"label": 1}}, "max label: it holds text, and max takes numb"),
    "text preferred": ({"prefer": {"video": 0.5}}, "prefer video: it holds text"),
    "several values": ({"balance": (Balance("label"),)}, "has several values: say by which column"),
    "another file's": (
        {"balance": (Balance("label", "speed"),)},
        "max-by says which of a frame's several rows counts, and speed is not of the same file",
    ),
    "max-by of a frame's own": (
        {"balance": (Balance("video", "sharpness"),)},
        "sharpness is not of the same file",
    ),
    "no such expression": ({"where": "conf >"}, "where conf >: .*syntax error"),
    "nothing within": (
        {"minimum": {"speed": 99}, "where": "night"},
        r"speed is 0 to 39, \d+ meet where night\): loosen them",
    ),
    "no hour": ({"minimum": {"hour": 3}}, "no frame has hour"),
    "no hour in a condition": (
        {"where": "speed > 0 AND hour < 7"},
        r"max and where \(no frame has hour, 0 meet where",
    ),
    "no hour to prefer": (
        {"prefer": {"hour": 0.5}},
        "prefer hour: no frame has hour: no video's file says when it was made",
    ),
    "no hour to balance": ({"balance": (Balance("hour"),)}, "balance hour: no frame has hour"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_a_sentence(case: str, stores: dict[int, Store]) -> None:
    options, message = MISTAKES[case]
    with pytest.raises(UsageError, match=message):
        choose_here(stores[64], Choice(budget=Budget(9), **options), "cpu")


def test_one_name_in_two_tables_is_told_apart(tmp_path: Path, lattice: np.ndarray) -> None:
    store = stored(tmp_path, lattice, 64)
    add_columns(store, "again", str(tmp_path / "recorder.parquet"))
    both = KnownColumns.of(store)
    with pytest.raises(UsageError, match=r"write recorder.speed or again.speed|again.speed or rec"):
        Wishes.of(Choice(minimum={"speed": 1}), both)
    assert Wishes.of(Choice(minimum={"again.speed": 1}), both).minimum[0][0].table == "again"


def test_the_hour_of_day_is_of_the_moment_of_a_frame() -> None:
    from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState

    def video(number: int, created: str) -> Video:
        return Video(number, str(number), "", "", 0, VideoState.OK, created=created)

    catalogue = Catalogue([video(0, "2024-05-01T22:59:30"), video(1, "")])
    frames = pd.DataFrame(
        {"row": range(4), "video": [0, 0, 0, 1], "time_s": [0.0, 29.9, 3630.0, 1.0]}
    )
    columns = FrameColumns(frames, catalogue=catalogue)
    hours = columns.largest(columns.known.find("hour", "min", "number"))
    assert hours[:3].tolist() == [22, 22, 0]
    assert np.isnan(hours[3])
