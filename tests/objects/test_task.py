"""Objects embedded into a store: the right pictures, the same bytes, nothing twice or half."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import zarr
from dask.distributed import LocalCluster

from coreframe.tasks.check.task import check_store
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.objects import plan
from coreframe.tasks.objects.matching import Skip
from coreframe.tasks.objects.summary import object_summary
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store
from tests.objects.corpus import (
    HEIGHT,
    WIDTH,
    drawn_boxes,
    embed,
    held,
    videos,
    without_nan,
    write_csv,
)
from tests.runs import by_name, bytes_of, ingest

NAMES = ["a.mp4", "b.mp4", "c.mp4"]
FRAMES = [0, 5, 11, 12, 13, 30, 39]
EACH = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    videos(folder / "videos", NAMES)
    ingest([folder / "videos"], folder / "store", cluster, block_rows=32)
    write_csv(folder / "boxes.csv", drawn_boxes(NAMES, FRAMES, EACH, seed=3))
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "store", tmp_path / "store")
    shutil.copy(made / "boxes.csv", tmp_path / "boxes.csv")
    return tmp_path


@pytest.fixture(scope="module", params=[1, 3])
def other_cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    with LocalCluster(
        n_workers=request.param, threads_per_worker=1, processes=False, dashboard_address=None
    ) as local:
        yield local.scheduler_address


def test_each_object_is_its_picture_as_a_store_of_that_crop_embeds_it(
    made: Path, place: Path, cluster: str
) -> None:
    store = Store.open(place / "store")
    counts = embed(store, [place / "boxes.csv"], cluster)
    assert (counts.embedded, counts.pending) == (len(NAMES) * len(FRAMES) * EACH, 0)
    rows, vectors = held(store)
    assert [row["object"] for row in rows] == list(range(len(rows)))
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)
    whole = [row["label"] == "all" for row in rows]
    assert sum(whole) == len(NAMES) * len(FRAMES)
    frames = store.read_rows([row["row"] for row in rows])
    assert (vectors[whole] == frames[whole]).all()
    assert (vectors[~np.array(whole)] != frames[~np.array(whole)]).any(axis=1).all()
    x, y, width, height = 17, 9, 41, 33
    one = write_csv(place / "one.csv", [["b.mp4", f, x, y, width, height, "", ""] for f in FRAMES])
    embed(store, [one], cluster)
    crop = f"{width}:{height}:{x}:{y}"
    cropped, _ = ingest([made / "videos"], place / "cropped", cluster, crop=crop)
    first = by_name(cropped)["b"].first_row
    expected = cropped.read_rows([first + frame for frame in FRAMES])
    assert (held(store)[1][len(rows) :] == expected).all()
    assert check_store(store, cluster, repair=False).sound


def test_a_crop_of_the_store_is_the_whole_picture_of_its_boxes(
    made: Path, tmp_path: Path, cluster: str
) -> None:
    store, _ = ingest([made / "videos"], tmp_path / "store", cluster, crop="60:48:20:10")
    rows = [["a.mp4", f, -3, 0, 90, 50, "all", ""] for f in FRAMES]
    rows += [["a.mp4", f, 5, 4, 30, 20, "part", ""] for f in FRAMES]
    embed(store, [write_csv(tmp_path / "b.csv", rows)], cluster)
    found, vectors = held(store)
    whole = np.array([row["label"] == "all" for row in found])
    assert (vectors[whole] == store.read_rows([row["row"] for row in found])[whole]).all()
    other, _ = ingest([made / "videos"], tmp_path / "other", cluster, crop="30:20:25:14")
    own = [row["row"] for row, all_ in zip(found, whole, strict=True) if not all_]
    assert (vectors[~whole] == other.read_rows(own)).all()


def test_same_bytes_on_any_workers(
    made: Path, place: Path, cluster: str, other_cluster: str
) -> None:
    embed(Store.open(place / "store"), [place / "boxes.csv"], cluster)
    shutil.copytree(made / "store", place / "again")
    with mock.patch.multiple(plan, PART_FRAMES=2, PART_OBJECTS=3):
        embed(Store.open(place / "again"), [place / "boxes.csv"], other_cluster)
    ours, theirs = (
        {path.relative_to(place / name): data for path, data in bytes_of(place / name).items()}
        for name in ("store", "again")
    )
    assert ours == theirs
    array = zarr.open_group(place / "store" / "embeddings.zarr", mode="r")["objects"]
    table = pd.read_parquet(place / "store" / "objects")
    rows, vectors = held(Store.open(place / "store"))
    assert (array[:][table["object"]] == vectors).all()
    assert array.attrs["scale_factor"] == 1 / 4000
    assert array.chunks == (32, vectors.shape[1])
    assert len(table) == len(rows)


@pytest.mark.parametrize("block_rows", [1, 7, 1024])
def test_same_objects_in_blocks_of_any_size(
    block_rows: int, made: Path, place: Path, cluster: str
) -> None:
    store = Store.open(place / "store")
    embed(store, [place / "boxes.csv"], cluster)
    other, _ = ingest([made / "videos"], place / "other", cluster, block_rows=block_rows)
    embed(other, [place / "boxes.csv"], cluster)
    ours, theirs = held(store), held(other)
    assert without_nan(ours[0]) == without_nan(theirs[0])
    assert (ours[1] == theirs[1]).all()


def test_each_frame_is_decoded_once(made: Path, place: Path, cluster: str) -> None:
    from coreframe.tasks.objects import job

    asked: list[tuple[str, int]] = []
    decode = job.recorded_frames

    def counted(store, source, fingerprint, frame_index, digest):  # type: ignore[no-untyped-def]
        asked.extend((fingerprint, frame) for frame in frame_index)
        return decode(store, source, fingerprint, frame_index, digest)

    store = Store.open(place / "store")
    with (
        mock.patch.multiple(plan, PART_FRAMES=2, PART_OBJECTS=3),
        mock.patch.object(job, "recorded_frames", counted),
    ):
        embed(store, [place / "boxes.csv"], cluster)
    assert len(asked) == len(set(asked)) == len(NAMES) * len(FRAMES)


def test_a_second_file_adds_and_replace_takes_the_first_away(place: Path, cluster: str) -> None:
    store = Store.open(place / "store")
    first = embed(store, [place / "boxes.csv"], cluster)
    rows, vectors = held(store)
    before = bytes_of(place / "store")
    again = embed(store, [place / "boxes.csv"], cluster)
    assert (again.embedded, again.skipped.count) == (0, {Skip.KNOWN: first.embedded})
    assert bytes_of(place / "store") == before
    more = write_csv(place / "more.csv", [["a.mp4", 0, 1, 2, 30, 40, "new", 0.5]])
    assert embed(store, [more], cluster).embedded == 1
    after, their_vectors = held(store)
    assert without_nan(after[:-1]) == without_nan(rows)
    assert (their_vectors[:-1] == vectors).all()
    assert after[-1]["label"] == "new"
    found = object_summary(store)
    assert (found.objects, found.frames) == (len(rows) + 1, len(NAMES) * len(FRAMES))
    assert found.labels["new"] == 1
    assert sum(found.labels.values()) == found.objects
    assert embed(store, [more], cluster, afresh=True).embedded == 1
    only, _ = held(store)
    assert [row["object"] for row in only] == [0]
    assert embed(store, [more], cluster, afresh=True).embedded == 0  # these it has, and no others
    assert check_store(store, cluster, repair=False).sound


def test_an_interrupted_run_goes_on_where_it_was(place: Path, made: Path, cluster: str) -> None:
    shutil.rmtree(place / "store")
    store, _ = ingest([made / "videos"], place / "store", cluster, block_rows=3)
    shutil.copytree(place / "store", place / "whole")
    embed(Store.open(place / "whole"), [place / "boxes.csv"], cluster)
    commit, left = StoredObjects.commit, list(range(5))

    def ending(self: StoredObjects, *given: Any) -> None:
        try:
            left.pop()
        except IndexError:
            raise CoreframeError("it was ended") from None
        commit(self, *given)

    with (
        mock.patch.object(StoredObjects, "commit", ending),
        pytest.raises(CoreframeError, match="it was ended"),
    ):
        embed(store, [place / "boxes.csv"], cluster)
    assert len(StoredObjects(store).blocks()) == 5
    assert check_store(store, cluster, repair=False).sound
    counts = embed(store, [place / "boxes.csv"], cluster)
    assert counts.embedded == len(NAMES) * len(FRAMES) * EACH - 5 * 3
    ours, theirs = (
        {path.relative_to(place / name): data for path, data in bytes_of(place / name).items()}
        for name in ("store", "whole")
    )
    assert ours == theirs


def test_what_is_missing_is_embedded_without_a_file(place: Path, cluster: str) -> None:
    store = Store.open(place / "store")
    with pytest.raises(UsageError, match="has no boxes yet: name a file"):
        embed(store, [], cluster)
    embed(store, [place / "boxes.csv"], cluster)
    rows, vectors = held(store)
    StoredObjects(store).take_back(1)
    with pytest.raises(CoreframeError, match="lacks 32 of its objects"):
        embed(store, [], cluster)
    assert check_store(store, cluster, repair=True).files == ["32 of 84 objects are missing"]
    assert check_store(store, cluster, repair=False).sound
    assert embed(store, [], cluster).embedded == 32
    assert without_nan(held(store)[0]) == without_nan(rows)
    assert (held(store)[1] == vectors).all()


def test_a_video_that_does_not_give_its_frames_is_recorded_and_the_others_go_on(
    made: Path, tmp_path: Path, cluster: str
) -> None:
    shutil.copytree(made / "videos", tmp_path / "videos")
    store, _ = ingest([tmp_path / "videos"], tmp_path / "store", cluster, block_rows=32)
    shutil.copy(made / "videos" / "a.mp4", tmp_path / "videos" / "b.mp4")
    counts = embed(store, [made / "boxes.csv"], cluster)
    own = len(FRAMES) * EACH
    assert (counts.embedded, counts.pending) == (2 * own, own)
    assert list(counts.faults) == [by_name(store)["b"].video]
    assert by_name(store)["b"].state == VideoState.MISSING
    assert object_summary(store).objects == 2 * own
    assert check_store(store, cluster, repair=False).sound
    shutil.copy(made / "videos" / "b.mp4", tmp_path / "videos" / "b.mp4")
    ingest([tmp_path / "videos"], tmp_path / "store", cluster, block_rows=32)
    assert embed(store, [], cluster).embedded == own
    assert object_summary(store).objects == 3 * own


def test_a_frame_smaller_than_the_others_shows_less_of_a_box() -> None:
    from av import VideoFrame

    from coreframe.tasks.objects.job import _TooSmall, pixels_of
    from coreframe.tasks.video.viewing import AS_SHOWN, Crop

    frame = VideoFrame(64, 48, "yuv420p")
    box = np.array([10.7, 20.0, 20.305, 16.5], np.float32)
    assert pixels_of(box, frame, AS_SHOWN) == Crop(21, 17, 10, 20)
    assert pixels_of(np.array([0, 0, WIDTH, HEIGHT], np.float32), frame, AS_SHOWN) is None
    assert isinstance(pixels_of(np.array([50, 0, 40, 40], np.float32), frame, AS_SHOWN), _TooSmall)
