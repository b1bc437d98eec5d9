"""The door for notebooks."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

import coreframe
from coreframe.__main__ import RUN_MODULES
from coreframe.flows.choosing import Selecting
from coreframe.tasks.kcenter.job import StoredUnits
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.runs import content, ingest
from tests.stores import make_store, walks
from tests.videos import sequential_rgb

LENGTHS = [200, 37, 160, 3, 400]
"""Rows of each video of a store of given embeddings."""


@pytest.fixture(scope="module")
def folder(
    made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> Path:
    folder = tmp_path_factory.mktemp("interactive")
    videos = [made_videos["closed_gop.mp4"], made_videos["odd_size.mkv"]]
    ingest(videos, folder / "store", cluster)
    return folder


@pytest.fixture
def corpus(folder: Path) -> coreframe.Corpus:
    return coreframe.open(folder / "store")


def test_frames_and_embeddings_are_those_of_the_store(
    corpus: coreframe.Corpus, folder: Path
) -> None:
    frames, lattice = content(coreframe.open(folder / "store")._store)
    assert corpus.frames["row"].tolist() == frames["row"].tolist()
    assert set(corpus.frames["video"]) == {"closed_gop.mp4", "odd_size.mkv"}
    assert corpus.embeddings.dtype == np.float32
    assert np.array_equal(np.rint(corpus.embeddings * 4000), lattice)
    assert corpus.videos["state"].tolist() == ["ok", "ok"]
    assert "2 files, descriptor" in repr(corpus)


@pytest.mark.integration
def test_images_are_those_that_were_embedded(folder: Path, made_videos: dict[str, Path]) -> None:
    truth = sequential_rgb(made_videos["closed_gop.mp4"])
    with coreframe.open(folder / "store") as corpus:
        own = corpus.frames[corpus.frames["video"] == "closed_gop.mp4"]
        for row, frame_index in zip(own["row"][::13], own["frame_index"][::13], strict=True):
            assert np.array_equal(corpus.image(row), truth[frame_index])
        process = corpus._decoder._apart._process
        assert process is not None
        process.kill()
        process.wait()
        with pytest.raises(coreframe.CoreframeError, match="ended the process"):
            corpus.image(0)
        assert np.array_equal(corpus.image(int(own["row"].iloc[0])), truth[0])
        beyond = int(corpus.frames["row"].max()) + 1
        with pytest.raises(coreframe.CoreframeError, match=f"no row {beyond}"):
            corpus.image(beyond)
        with pytest.raises(coreframe.CoreframeError, match="no row 10000000"):
            corpus.image(10_000_000)
        corpus._decoder.close()  # one that runs already may answer at once
        corpus._decoder.timeout_s = 0
        with pytest.raises(coreframe.CoreframeError, match="did not come for 0 s"):
            corpus.image(1)
        assert corpus._decoder._apart._process is None


def test_it_selects_what_the_command_selects(
    corpus: coreframe.Corpus, folder: Path, cluster: str
) -> None:
    picks = corpus.select(n_samples=9, device="cpu")
    choice = Choice(budget=Budget(n_samples=9))
    expected = choose_frames(corpus._store, choice, "cpu", cluster).frames
    assert picks.frames["row"].tolist() == expected["row"].tolist()
    assert picks.frames["radius"].tolist() == expected["radius"].tolist()
    own = corpus.frames.set_index("row").loc[picks.frames["row"], "video"]
    assert picks.frames["video"].tolist() == own.tolist()
    assert len(picks) == len(picks.embeddings) == 9
    capped = corpus.select(n_samples=9, max_per_video=2)
    assert capped.frames["video"].value_counts().tolist() == [2, 2]


def test_pictures_are_the_frames(corpus: coreframe.Corpus, made_videos: dict[str, Path]) -> None:
    frame = corpus.frames[corpus.frames["video"] == "odd_size.mkv"].iloc[7]
    truth = sequential_rgb(made_videos["odd_size.mkv"])[int(frame["frame_index"])]
    picture = corpus.pictures(np.array([frame["row"]]), side_px=max(truth.shape))[frame["row"]]
    assert picture.size == (truth.shape[1], truth.shape[0])
    difference = np.asarray(picture).astype(int) - truth
    assert abs(difference).mean() < 8  # WebP loses a little


def test_the_contact_sheet_has_a_place_for_every_pick(corpus: coreframe.Corpus) -> None:
    picks = corpus.select(n_samples=7)
    sheet = picks.contact_sheet(columns=3, side_px=50)
    pictures = corpus.pictures(picks.frames["row"].to_numpy(), 50).values()
    tall = max(picture.height for picture in pictures)
    down = tall + 24
    assert sheet.size == (3 * 56 + 6, 3 * down + 6)
    pixels = np.asarray(sheet)
    inside = [pixels[6 + r * down :, 6 + c * 56 :][:tall, :50] for r in range(3) for c in range(3)]
    assert [bool((one != 255).any()) for one in inside] == [True] * 7 + [False] * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_sample": 3}, "n_sample: Extra inputs"),
        ({"proportion": 3}, "proportion: Input should be less"),
        ({"min": ["beauty=1"]}, "min beauty: there is no such column"),
        ({"n_samples": 2, "sequence_length": 3}, "^n-samples 2 is less than one"),
        ({"balance": ["video", "video"]}, r"give one of them\.$"),
        ({"device": "tpu"}, "device: Input should be 'auto', 'cpu' or 'cuda'"),
        ({"memory_limit": "2 frames"}, "memory_limit: could not interpret byte unit"),
    ],
)
def test_wrong_options_are_one_sentence(
    corpus: coreframe.Corpus, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(coreframe.UsageError, match=sentence):
        corpus.select(**options)


UNKEPT = {
    "mixed": ({"a": [1, "x"]}, r"^the table cannot be kept as Parquet: .*column a"),
    "huge": ({"a": [2**60, 1]}, "^the table: column a holds whole numbers above"),
    "nothing": ({}, "^the table has no columns but those that name frames"),
    "unknown": ({"video": ["x.mp4"] * 2, "a": [1, 2]}, "^none of the 2 lines of the table is"),
}


@pytest.mark.parametrize("case", UNKEPT)
def test_a_table_that_cannot_be_kept_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    make_store(tmp_path / "store", np.eye(4, dtype=np.int16) * 4000, [4])
    columns, sentence = UNKEPT[case]
    table = pd.DataFrame({"video": ["v0.mp4"] * 2, "frame_index": [0, 1]} | columns)
    corpus = coreframe.open(tmp_path / "store")
    with pytest.raises(coreframe.UsageError, match=sentence):
        corpus.add_columns("mine", table)
    with pytest.raises(coreframe.UsageError, match=r"^the table cannot be kept as Parquet"):
        corpus.add_columns("mine", pd.concat([table, table], axis=1))


def test_no_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(coreframe.UsageError, match="no store at"):
        coreframe.open(tmp_path)


def nights(folder: Path, rows: int = sum(LENGTHS)) -> Store:
    """A store of given embeddings, or the one of fewer rows grown to these."""
    ends = np.cumsum(LENGTHS)
    lengths = [n - max(0, int(end) - rows) for n, end in zip(LENGTHS, ends, strict=True)]
    return make_store(
        folder / "store",
        walks(sum(LENGTHS), 64, seed=11)[:rows],
        [n for n in lengths if n > 0],
        undecodable=(5, 6, 210),
        copies={300: 12} if rows > 300 else None,
    )


def on_cluster(store: Store, cluster: str, **options: Any) -> pd.DataFrame:
    """What the command selects, with the names of the videos."""
    frames = choose_frames(store, Selecting(**options).choice(), "cpu", cluster).frames
    names = {video.video: video.path for video in store.read_catalogue().videos}
    return frames.assign(video=frames["video"].map(names))


def in_notebook(store: Store, **options: Any) -> pd.DataFrame:
    return coreframe.open(store.path).select(device="cpu", **options).frames


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return nights(tmp_path_factory.mktemp("given"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"radius": 0.15},
        {"n_samples": 60, "max_per_video": 12, "min_per_video": 2},
        {"n_samples": 96, "sequence_length": 8, "max_per_video": 40},
        {"n_samples": 60, "prefer_sharp": 0.5, "min": ["luminance=0.1"]},
        {"n_samples": 40, "method": "random", "min_distance": 0.1, "seed": 3},
        {"n_samples": 40, "method": "fixed-rate"},
    ],
    ids=str,
)
def test_a_notebook_and_a_cluster_choose_the_same(
    options: dict[str, Any], given: Store, cluster: str
) -> None:
    expected = on_cluster(given, cluster, **options)
    assert len(expected) > 10
    assert_same(in_notebook(given, **options), expected)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_each_of_torchs_threads_has_a_partition_and_all_are_given_back(
    cluster: str, tmp_path: Path
) -> None:
    store, options = nights(tmp_path), {"n_samples": 60, "max_per_video": 20}
    found = in_notebook(store, **options, name="nightly")
    assert torch.get_num_threads() == 3
    files = Path(store.path).glob("selections/nightly/*/rows-*.npy")
    assert len(list(files)) == 3
    assert kept_state(store)["row"].tolist() == sorted(set(range(800)) - {5, 6, 210, 300})
    assert_same(found, on_cluster(store, cluster, **options))


def test_preselected_frames_are_started_from(given: Store, cluster: str, tmp_path: Path) -> None:
    listed = on_cluster(given, cluster, n_samples=15, method="random")
    listed.to_parquet(tmp_path / "mine.parquet")
    options = {"n_samples": 40, "preselected": str(tmp_path / "mine.parquet")}
    found = in_notebook(given, **options)
    assert found["preselected"].sum() == 15
    assert_same(found, on_cluster(given, cluster, **options))


def kept_state(store: Store) -> np.ndarray:
    """Where each unit stands in the kept selection, in row order."""
    files = (Path(store.path) / "selections" / "nightly").glob("*/rows-*.npy")
    return np.sort(np.concatenate([np.load(file) for file in files]), order="row")


@pytest.mark.parametrize("options", [{}, {"prefer_sharp": 0.4, "max_per_video": 40}], ids=str)
def test_a_selection_kept_over_nights_is_the_same_wherever_each_was_chosen(
    options: dict[str, Any], cluster: str, tmp_path: Path
) -> None:
    """Every second night in a notebook, every night in one, and every night on the cluster."""
    stores = []
    for kind in ("cluster", "notebook", "both"):
        (tmp_path / kind).mkdir()
        for night, (rows, n) in enumerate(((300, 20), (550, 40), (800, 70))):
            store = nights(tmp_path / kind, rows)
            given = dict(options, name="nightly", n_samples=n)
            if kind == "notebook" or (kind == "both" and night % 2 == 0):
                found = in_notebook(store, **given)
            else:
                found = on_cluster(store, cluster, **given)
            assert len(found) == n
        stores.append((found, kept_state(store)))
    for found, state in stores[1:]:
        assert_same(found, stores[0][0])
        assert np.array_equal(state, stores[0][1])


def test_what_is_gone_is_dropped_from_a_kept_selection(cluster: str, tmp_path: Path) -> None:
    found = []
    for kind in ("cluster", "notebook"):
        (tmp_path / kind).mkdir()
        store = nights(tmp_path / kind)
        on_cluster(store, cluster, name="nightly", n_samples=30)
        catalogue = store.read_catalogue()
        catalogue.update(0, state="missing", reason="its file is gone")
        store.write_catalogue(catalogue)
        options = {"name": "nightly", "n_samples": 30, "drop_gone": True}
        here = kind == "notebook"
        found.append(
            in_notebook(store, **options) if here else on_cluster(store, cluster, **options)
        )
    assert "v0.mp4" not in set(found[1]["video"])
    assert_same(found[1], found[0])


def test_embeddings_beyond_the_memory_limit_are_read_again(given: Store, cluster: str) -> None:
    read: list[int] = []
    original = StoredUnits.read

    def noted(
        self: StoredUnits, start: int, stop: int, into: np.ndarray | None = None
    ) -> np.ndarray:
        read.append(stop - start)
        return original(self, start, stop, into)

    expected = on_cluster(given, cluster, n_samples=60)
    with mock.patch.object(StoredUnits, "read", noted):
        assert_same(in_notebook(given, n_samples=60), expected)
        once = sum(read)
        read.clear()
        with mock.patch(
            "coreframe.tasks.kcenter.memory.psutil.Process"
        ) as process:  # takes up all but 300 rows' worth of the half that it may
            process().memory_info().rss = 10**9 - 300 * 400
            found = in_notebook(given, n_samples=60, memory_limit="2GB")
    assert once == len(given.frames()) - 3 - 1
    assert sum(read) > 2 * once
    assert_same(found, expected)


def test_nothing_of_the_command_is_needed_and_torch_only_to_choose(folder: Path) -> None:
    """Without Prefect, Dask and the other packages of the extra `run`."""
    lacking = sorted(RUN_MODULES - {"jinja2", "markupsafe", "yaml"})  # torch and zarr bring these
    assert {"prefect", "dask", "distributed"} < set(lacking)
    work = f"""
        import sys
        sys.modules |= dict.fromkeys({lacking!r})  # as if they were not installed
        import coreframe
        assert coreframe.__version__
        assert not {{"numpy", "pandas", "pyarrow", "zarr"}} & sys.modules.keys()
        corpus = coreframe.open({str(folder / "store")!r})
        assert len(corpus.videos) == 2
        assert len(corpus.frames) == len(corpus.embeddings)
        assert corpus.pictures(corpus.frames["row"].to_numpy()[:2], 32)
        assert "torch" not in sys.modules
        picks = corpus.select(n_samples=3, name="kept")
        assert picks.contact_sheet()
        assert "torch" in sys.modules
    """
    ended = subprocess.run(
        [sys.executable, "-c", dedent(work)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
