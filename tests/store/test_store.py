import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from numcodecs.zstd import compress

from coreframe.tasks.errors import CoreframeError, ReadOnlyError, UsageError
from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.frames import (
    SCHEMA,
    FrameRecord,
    FrameState,
    frame_records,
    frames_table,
)
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.settings import EMBEDDINGS, StoreSettings
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.census import take_census
from coreframe.tasks.video.indexing import index_video
from tests.powers import obeying_modes

SETTINGS = StoreSettings("descriptor", "descriptor-1", 5, 64, "all", "", block_rows=4)


def store_of(path: Path, rows: int) -> Store:
    store = Store.open_or_create(path / "store", SETTINGS, 4)
    store.plan_rows(rows)
    return store


def commit(store: Store, block: int, rows: range, planned: int) -> np.ndarray:
    vectors = np.zeros((planned, 5), np.int16)
    start = block * 4
    for row in rows:
        vectors[row - start] = np.arange(5) * 100 - row
    records = [
        FrameRecord(row, 0, row, row * 512, row / 25, row, 0.5, 0.1, FrameState.OK) for row in rows
    ]
    store.commit_block(block, vectors, frames_table(records))
    return vectors


def by_zarr(path: Path) -> np.ndarray:
    array = zarr.open_group(path.parent, mode="r")["embedding"]
    assert (array.shape, array.chunks) == ((6, 5), (4, 5))
    assert array.attrs["scale_factor"] == 1 / 4000
    return array[:]


def by_tensorstore(path: Path) -> np.ndarray:
    tensorstore = pytest.importorskip("tensorstore")
    where = {"driver": "file", "path": str(path)}
    return tensorstore.open({"driver": "zarr3", "kvstore": where}).result().read().result()


def by_zarrs(path: Path) -> np.ndarray:
    pytest.importorskip("zarrs")
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return zarr.open_array(path, mode="r")[:]


def test_settings_of_earlier_formats_stay_what_they_were() -> None:
    for version, lacking in ((1, {"digest", "pixels"}), (2, {"digest"}), (3, set())):
        settings = replace(SETTINGS, format_version=version)
        written = settings.written()
        assert lacking == {"digest", "pixels"} - written.keys()
        assert StoreSettings(**written) == settings
        assert settings.viewing.digest == 1
    assert replace(SETTINGS, digest=2).viewing.digest == 2


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore, by_zarrs])
@pytest.mark.filterwarnings("error")
def test_other_readers_get_the_integers(read: Callable[[Path], Any], tmp_path: Path) -> None:
    store = store_of(tmp_path, 6)
    first, last = commit(store, 0, range(0, 4), 4), commit(store, 1, range(4, 6), 2)
    found = read(tmp_path / "store" / "embeddings.zarr" / "embedding")
    assert found.dtype == np.int16
    assert np.array_equal(found, np.concatenate([first, last]))
    assert np.array_equal(store.read_rows([5, 0, 3]), np.stack([last[1], first[0], first[3]]))


@pytest.mark.parametrize("column", ["suspect", "flat"])
def test_tables_without_a_column_mean_what_they_did_when_there_was_none(
    column: str, tmp_path: Path
) -> None:
    store = store_of(tmp_path, 8)
    vectors = commit(store, 0, range(4), 4)
    records = [
        FrameRecord(row, 0, row, row, 0.0, row, 0.5, 0.1, FrameState.OK, **{column: row == 5})
        for row in range(4, 8)
    ]
    store.commit_block(1, vectors, frames_table(records))
    old = tmp_path / "store" / "frames" / "block-00000000.parquet"
    table = pq.read_table(old)
    pq.write_table(table.drop_columns([column]), old)
    expected = [False, False, False, False, False, True, False, False]
    assert store.frames()[column].tolist() == expected
    video = Video(0, "a.mp4", "/in/a.mp4", "f", 10, VideoState.OK, first_row=0, rows=8, decoded=8)
    store.write_catalogue(Catalogue([video]))
    assert read_corpus(store, ["row", column])[column].tolist() == expected
    assert store.frames_at(np.array([5, 1]), [column])[column].tolist() == [True, False]
    first = store.committed(0)
    assert first is not None
    assert not any(getattr(record, column) for record in frame_records(first))


def test_rows_are_read_in_any_order_and_as_often_as_asked(tmp_path: Path) -> None:
    store = store_of(tmp_path, 14)  # the third block holds only zeros: Zarr writes no chunk of it
    parts = [commit(store, block, range(block * 4, block * 4 + 4), 4) for block in (0, 1)]
    store.commit_block(2, np.zeros((4, 5), np.int16), frames_table([]))
    parts += [np.zeros((4, 5), np.int16), commit(store, 3, range(12, 14), 2)]
    assert not (tmp_path / "store" / "embeddings.zarr" / "embedding" / "c" / "2").exists()
    every, rng = np.concatenate(parts), np.random.default_rng(0)
    asked = [np.arange(14), np.arange(14)[::-1], np.arange(4), np.array([0, 2, 1, 3])]
    asked += [np.empty(0, np.int64), np.arange(3, 9), *(rng.integers(14, size=20) for _ in "abcde")]
    for rows in asked:
        assert np.array_equal(store.read_rows(rows), every[rows])
    assert np.array_equal(store.read_block(3), parts[3])


def test_an_array_that_was_written_anew_in_another_way_is_refused_by_name(tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    commit(store, 0, range(4), 4)
    array = zarr.open_array(tmp_path / "store" / "embeddings.zarr" / "embedding", mode="r")
    values = array[:]
    zarr.create_array(
        tmp_path / "store" / "embeddings.zarr" / "embedding",
        data=values,
        chunks=(2, 5),
        overwrite=True,
    )
    with pytest.raises(CoreframeError, match=r"embedding/zarr.json cannot be read .*\[2, 5\]"):
        store.read_rows([0])


@pytest.mark.parametrize("values", [19, 21])
def test_a_chunk_of_another_size_is_refused_by_name(values: int, tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    commit(store, 0, range(4), 4)
    chunk = tmp_path / "store" / "embeddings.zarr" / "embedding" / "c" / "0" / "0"
    chunk.write_bytes(compress(np.ones(values, np.int16)))
    for read in (store.read_rows, lambda rows: store.read_block(rows[0])):
        with pytest.raises(CoreframeError, match=r"embedding/c/0/0 cannot be read"):
            read([0, 1, 2, 3])


def test_frames_have_the_columns_asked_for(tmp_path: Path) -> None:
    store = store_of(tmp_path, 6)
    commit(store, 0, range(4), 4)
    commit(store, 1, range(4, 6), 2)
    found = store.frames_at(np.array([5, 0, 5]), ["pts", "video"])
    assert found.to_dict("list") == {"pts": [5 * 512, 0, 5 * 512], "video": [0, 0, 0]}
    assert store.frames_at(np.array([1])).columns.tolist() == SCHEMA.names


@pytest.mark.parametrize("value", [-4000, -3999, -1, 0, 1, 2047, 3999, 4000])
def test_every_lattice_value_survives(value: int, tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    vectors = np.full((4, 5), value, np.int16)
    store.commit_block(0, vectors, frames_table([]))
    assert np.array_equal(store.read_block(0), vectors)


def test_growing_a_block_keeps_its_rows(tmp_path: Path) -> None:
    store = store_of(tmp_path, 2)
    before = commit(store, 0, range(0, 2), 2)
    store.plan_rows(4)
    assert np.array_equal(store.read_rows([0, 1]), before)
    after = commit(store, 0, range(0, 4), 4)
    assert np.array_equal(store.read_block(0), after)
    assert store.frames()["row"].tolist() == [0, 1, 2, 3]


def test_uncommitted_rows_read_as_zero_and_are_in_no_table(tmp_path: Path) -> None:
    store = store_of(tmp_path, 8)
    commit(store, 1, range(4, 8), 4)
    assert not store.read_block(0).any()
    assert store.committed(0) is None
    assert store.frames(["row"])["row"].tolist() == [4, 5, 6, 7]


def test_no_temporary_file_is_left_behind(tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    commit(store, 0, range(4), 4)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("fingerprint", "descriptor-2"),
        ("sampling", "2 fps"),
        ("crop", "8:8:0:0"),
        ("input_px", 96),
    ],
)
def test_other_settings_are_refused_by_name(field: str, other: object, tmp_path: Path) -> None:
    store_of(tmp_path, 4)
    wanted = StoreSettings(**{**SETTINGS.__dict__, field: other})
    with pytest.raises(UsageError, match=field.replace("_", "-")):
        Store.open_or_create(tmp_path / "store", wanted)
    with pytest.raises(UsageError, match="block-rows 4, not 8"):
        Store.open_or_create(tmp_path / "store", SETTINGS, 8)


def test_the_same_embedder_may_be_written_in_another_way(tmp_path: Path) -> None:
    store_of(tmp_path, 4)
    moved = replace(SETTINGS, embedder="hf:another/way/to/it")
    assert Store.open_or_create(tmp_path / "store", moved).settings.embedder == "descriptor"
    other = replace(moved, fingerprint="hf-1")
    with pytest.raises(UsageError, match="made with embedder descriptor, not hf:another"):
        Store.open_or_create(tmp_path / "store", other)


def test_what_is_no_store_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    with pytest.raises(UsageError, match="not a store and not empty"):
        Store.open_or_create(tmp_path / "photos", SETTINGS)
    with pytest.raises(UsageError, match="no store at"):
        Store.open(tmp_path / "nowhere")


def test_unreadable_table_is_named(tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    commit(store, 0, range(4), 4)
    table = next((tmp_path / "store" / "frames").glob("*.parquet"))
    table.write_bytes(b"torn")
    with pytest.raises(CoreframeError, match=table.name):
        store.frames()


@pytest.mark.parametrize("survey", [False, True])
def test_index_round_trip(survey: bool, made_videos: dict[str, Path], tmp_path: Path) -> None:
    facts, index = index_video(made_videos["open_gop.mp4"])
    if survey:
        index, _ = take_census(made_videos["open_gop.mp4"], index)
    store = store_of(tmp_path, 0)
    assert not store.has_index("abc")
    store.write_index("abc", facts, index)
    assert store.has_index("abc")
    same_facts, again = store.read_facts_and_index("abc")
    assert same_facts == facts
    for name, value in vars(index).items():
        other = getattr(again, name)
        assert np.array_equal(value, other) if isinstance(value, np.ndarray) else value == other


def test_store_whose_making_was_interrupted_is_made_to_its_end(tmp_path: Path) -> None:
    store_of(tmp_path, 4)
    (tmp_path / "store" / "embeddings.zarr" / "embedding" / "zarr.json").unlink()
    store = store_of(tmp_path, 5)
    assert store.rows_planned() == 5


BUSY_AT_EXIT = """
import time
from coreframe.tasks.store.store import Store
from zarr.core.sync import _get_loop
_get_loop().call_soon_threadsafe(time.sleep, 1)
"""


@pytest.mark.integration
def test_a_process_ends_quietly_however_busy_the_machine() -> None:
    ended = subprocess.run([sys.executable, "-c", BUSY_AT_EXIT], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_catalogue_with_a_state_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    store.write_catalogue(Catalogue([Video(0, "a.mp4", "/in/a.mp4", "f", 10, VideoState.OK)]))
    path = tmp_path / "store" / "catalogue.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("state")
    pq.write_table(table.set_column(place, "state", pa.array(["lost"])), path)
    with pytest.raises(CoreframeError, match=r"catalogue.parquet cannot be read .*'lost'"):
        store.read_catalogue()


def test_a_store_that_may_only_be_read_is_read_and_not_written(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store", SETTINGS)
    store.write_catalogue(Catalogue())
    for folder in (tmp_path / "store", tmp_path / "store" / EMBEDDINGS):
        folder.chmod(0o555)
    with obeying_modes():
        assert Store.open(tmp_path / "store").read_catalogue().videos == []
        with pytest.raises(UsageError, match="it may only be read here"):
            Store.open_or_create(tmp_path / "store", SETTINGS)
        with pytest.raises(ReadOnlyError, match="Permission denied"), writing(store, "mine"):
            pass
    with writing(store, "mine"):
        pass
