"""What people know of frames is kept by frame, all of it that can be, and the rest is counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.check.files import check_kept_files
from coreframe.tasks.columns import add as adding
from coreframe.tasks.columns.add import add_columns, name_of
from coreframe.tasks.columns.join import VideoFrames
from coreframe.tasks.columns.source import open_source
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.store.columns import (
    ColumnTable,
    Kind,
    column_tables,
    drop,
    erase_rows,
    read_block,
    state,
)
from coreframe.tasks.store.store import Store
from tests.stores import make_store


def store_of(path: Path, lengths: list[int], block_rows: int = 7) -> Store:
    lattice = np.eye(4, dtype=np.int16)[np.arange(sum(lengths)) % 4] * 4000
    return make_store(path / "store", lattice, lengths, block_rows=block_rows, undecodable=(3,))


def csv(path: Path, text: str) -> str:
    file = path / "file.csv"
    file.write_text(text)
    return str(file)


def kept(store: Store, name: str) -> pd.DataFrame:
    table = column_tables(store)[name]
    blocks = [read_block(store, table, block).to_pandas() for block in sorted(table.blocks)]
    return pd.concat(blocks, ignore_index=True)


def test_lines_find_their_frames_by_index(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10, 10])
    file = csv(
        tmp_path,
        "label,frame_index,video,conf,night\n"
        "cat,4,v1.mp4,0.5,true\n"
        "dog,0,v0.mp4,0.25,false\n"
        ' dog ,4,v1.mp4,,"True"\n'
        "cow,3,v0.mp4,1,false\n"  # which cannot be decoded
        "cow,99,v0.mp4,1,false\n"
        "cow,1,v7.mp4,1,false\n"
        "cow,,v0.mp4,1,\n",
    )
    added = add_columns(store, "detections", file)
    assert (added.lines, added.matched, added.frames, added.unmatched) == (7, 3, 2, 4)
    assert added.columns == {"label": "text", "conf": "number", "night": "boolean"}
    assert added.first_unmatched == (
        "frame 3 of v0.mp4: the store has no such decodable frame of that video"
    )
    found = kept(store, "detections")
    assert found["row"].tolist() == [0, 14, 14]
    assert found["label"].tolist() == ["dog", "cat", "dog"]
    assert found["conf"].tolist()[:2] == [0.25, 0.5]
    assert np.isnan(found["conf"][2])
    assert found["night"].tolist() == [False, True, True]
    assert column_tables(store)["detections"].several
    assert sorted(column_tables(store)["detections"].blocks) == [0, 2]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_lines_find_their_frames_by_time(tmp_path: Path, suffix: str) -> None:
    store = store_of(tmp_path, [10, 10])  # at 25 frames a second
    table = pd.DataFrame(
        {
            "video": ["v0.mp4"] * 6,
            "time_s": [0.0, 0.019, 0.021, 0.06, 0.381, 0.379],
            "speed": [1, 2, 3, 4, 5, 6],
        }
    )
    file = tmp_path / f"file.{suffix}"
    table.to_csv(file, index=False) if suffix == "csv" else table.to_parquet(file)
    added = add_columns(store, "recorder", str(file))
    assert (added.matched, added.unmatched) == (5, 1)  # 0.381 is more than half a step too late
    assert added.first_unmatched.startswith("at 0.381 s of v0.mp4")
    found = kept(store, "recorder")
    assert found["row"].tolist() == [0, 0, 1, 1, 9]
    assert found["speed"].tolist() == [1, 2, 3, 4, 6]  # of equally near frames the earlier


@given(data=st.data())
def test_the_nearest_frame_within_half_a_step(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=12))  # may run backwards
    asked = data.draw(st.lists(st.integers(-5, 70), min_size=1, max_size=12))
    step = data.draw(st.integers(1, 9))
    count = len(times)
    frames = VideoFrames(np.arange(count), np.arange(count), np.array(times, float), float(step))
    found = frames.by_time(np.array(asked, float))
    for one, row in zip(asked, found.tolist(), strict=True):
        apart = [abs(time - one) for time in times]
        if min(apart) > step / 2:
            assert row == -1
        else:
            assert apart[row] == min(apart)
            assert times[row] == min(
                t for t, d in zip(times, apart, strict=True) if d == min(apart)
            )


@given(data=st.data())
def test_any_order_of_lines_and_any_blocks_keep_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And what a later file says of a video takes the place of all that was said of it."""
    folder = tmp_path_factory.mktemp("columns")
    lengths = [5, 1, 9]
    store = store_of(folder, lengths, data.draw(st.sampled_from([1, 4, 64])))
    lines = st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 9), st.sampled_from([0.5, 1.5, None])),
        min_size=1,
        max_size=30,
    )
    first = [0, 5, 6]
    expected: list[tuple[int, float]] = []
    for _ in range(data.draw(st.integers(1, 3))):
        some = [*data.draw(lines), (0, 0, 7.0)]
        rows = [
            (first[video] + frame, value)
            for video, frame, value in some
            if frame < lengths[video] and first[video] + frame != 3
        ]
        named = {video for video, _, _ in some}
        expected = [
            (row, value)
            for row, value in expected
            if not any(first[v] <= row < first[v] + lengths[v] for v in named)
        ]
        expected = sorted([*expected, *rows], key=lambda one: one[0])
        table = pd.DataFrame(some, columns=["video", "frame_index", "value"])
        table["video"] = [f"v{number}.mp4" for number in table["video"]]
        file = folder / "file.csv"
        table.to_csv(file, index=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adding, "GROUPS", data.draw(st.sampled_from([1, 2, 128])))
            added = add_columns(store, "one", str(file))
        assert (added.lines, added.matched) == (len(some), len(rows))
        found = kept(store, "one")
        assert found["row"].tolist() == [row for row, _ in expected]
        values = [None if np.isnan(value) else value for value in found["value"].tolist()]
        assert values == [value for _, value in expected]
        assert column_tables(store)["one"].lines == len(expected)


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10, 10])
    file = csv(tmp_path, "video,frame_index,a\nv0.mp4,1,5\nv1.mp4,2,6\n")
    add_columns(store, "one", file)
    before, table = state(store), column_tables(store)["one"]
    add_columns(store, "one", file)
    assert (state(store), column_tables(store)["one"]) == (before, table)
    csv(tmp_path, "video,frame_index,a\nv0.mp4,1,4\n")
    add_columns(store, "one", file)
    after = column_tables(store)["one"]
    assert state(store) != before
    assert after.blocks[1] == table.blocks[1]  # of a video that the file does not name
    assert kept(store, "one")["a"].tolist() == [4, 6]
    with pytest.raises(UsageError, match=r"a \(text\), and one those of .*: a \(number\)"):
        add_columns(store, "one", csv(tmp_path, "video,frame_index,a\nv0.mp4,1,x\n"))
    drop(store, "one")
    assert state(store) == ""
    with pytest.raises(UsageError, match="no columns named one: it has none"):
        drop(store, "one")


UNUSABLE = {
    "no video": ("frame_index,a\n1,2\n", "names no frames: it needs the columns video"),
    "no frame": ("video,a\nv0.mp4,2\n", "and frame_index, or time_s"),
    "nothing more": ("video,time_s\nv0.mp4,2\n", "no columns but those that name frames"),
    "our own": ("video,time_s,Sharpness\nv0.mp4,2,1\n", "every frame has its own sharpness"),
    "reserved": ("video,time_s,typical\nv0.mp4,2,1\n", "every frame has its own typical"),
    "other commas": ("video;frame_index;a\n", "and has 'video;frame_index;a'"),
    "the same": ("video,frame_index,x,x\nv0.mp4,2,1,1\n", "two columns x and x"),
    "twice": ("video,time_s,a,A\nv0.mp4,2,1,1\n", "two columns a and A"),
    "pandas' index": (",video,frame_index,a\n0,v0.mp4,2,1\n", "write it with index=False, or give"),
    "no name": ("video,time_s,a:b\nv0.mp4,2,1\n", "'a:b' cannot name a column"),
    "empty": ("", "cannot read the columns in .*mpty"),
    "no line": ("video,frame_index,a\n", "has no lines"),
    "half a frame": ("video,frame_index,a\nv0.mp4,1.5,2\n", "frame_index must be a whole number"),
    "words for a time": ("video,time_s,a\nv0.mp4,now,2\n", "time_s must be seconds"),
    "torn": ("video,frame_index,a\nv0.mp4,1,2\nv0.mp4,1\n", "Expected 3 columns, got 2"),
    "others": (
        "video,frame_index,a\nx.mp4,1,2\n",
        r"none of the 1 lines .* the first is frame 1 of x.mp4: the store has no such video. Name "
        r"videos as `coreframe info` does \(one is v0.mp4\)",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    text, message = UNUSABLE[case]
    store = store_of(tmp_path, [10])
    with pytest.raises(UsageError, match=message):
        add_columns(store, "one", csv(tmp_path, text))
    assert column_tables(store) == {}


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10])
    both = pa.Table.from_arrays([pa.array([0])] * 4, ["video", "frame_index", "x", "x"])
    pq.write_table(both, tmp_path / "d.parquet")
    with pytest.raises(UsageError, match="two columns x and x"):
        open_source(str(tmp_path / "d.parquet"))
    with pytest.raises(UsageError, match=r"lost\.csv: No such file"):
        open_source(str(tmp_path / "lost.csv"))
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(UsageError, match="cannot read the columns in"):
        open_source(str(tmp_path / "a.parquet"))
    when = pd.DataFrame({"video": ["v0.mp4"], "frame_index": [0], "when": [pd.Timestamp(0)]})
    when.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="column when holds timestamp"):
        open_source(str(tmp_path / "b.parquet"))
    large = pd.DataFrame({"video": ["v0.mp4"], "frame_index": [0], "id": [2**60]})
    large.to_parquet(tmp_path / "c.parquet")
    with pytest.raises(UsageError, match=r"id holds whole numbers above 2\^53"):
        add_columns(store, "one", str(tmp_path / "c.parquet"))
    for name in ("", "frame", "Frame", "sqlite_x", "a b", "../x", "1"):
        with pytest.raises(UsageError, match="cannot name a table of columns"):
            add_columns(store, name, str(tmp_path / "c.parquet"))
    assert name_of("/x/night 1.labels.csv") == "night_1_labels"


def test_an_index_of_pandas_is_passed_over(tmp_path: Path) -> None:
    table = pd.DataFrame({"video": ["v0.mp4"] * 4, "frame_index": range(4), "a": range(4)})
    table[table["a"] != 1].to_parquet(tmp_path / "a.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "a.parquet").names
    assert open_source(str(tmp_path / "a.parquet")).kinds == {"a": Kind.NUMBER}


def test_kinds_of_a_csv_are_seen_in_all_of_it(tmp_path: Path) -> None:
    lines = [f"v0.mp4,{n % 10},{n},true,,{'x' if n == 70_000 else n}" for n in range(70_001)]
    file = csv(tmp_path, "video,frame_index,a,b,c,d\n" + "\n".join(lines) + "\n")
    assert open_source(file).kinds == {
        "a": Kind.NUMBER,
        "b": Kind.BOOLEAN,
        "c": Kind.TEXT,
        "d": Kind.TEXT,
    }


def test_whole_numbers_that_are_not_kept_exactly_are_text_in_a_csv(tmp_path: Path) -> None:
    text = "video,frame_index,track,size\nv0.mp4,0,9007199254740993,9007199254740991\n"
    text += "v0.mp4,1,9007199254740992,-1e300\n"
    store = store_of(tmp_path, [10])
    assert add_columns(store, "one", csv(tmp_path, text)).columns["size"] == "number"
    assert kept(store, "one")["track"].tolist() == ["9007199254740993", "9007199254740992"]


@pytest.mark.parametrize("name", ["a.PARQUET", "a.parq", "a"])
def test_parquet_is_known_by_what_it_begins_with(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"video": ["v0.mp4"], "frame_index": [0], "a": ["x"]})
    table.to_parquet(tmp_path / name)
    open_source(str(tmp_path / name))
    assert add_columns(store_of(tmp_path, [10]), "one", str(tmp_path / name)).matched == 1


def test_damage_is_told_and_what_is_forgotten_goes(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10, 10])
    add_columns(
        store, "one", csv(tmp_path, "video,frame_index,a\nv0.mp4,1,5\nv0.mp4,8,5\nv1.mp4,2,6\n")
    )
    catalogue = store.read_catalogue()
    assert check_kept_files(store, catalogue, repair=False) == ([], [])
    erase_rows(store, np.arange(10))
    assert kept(store, "one")["row"].tolist() == [12]
    left = {*column_tables(store)["one"].blocks.values(), "columns.json"}
    assert set(store.folder.names("columns/one")) == left
    add_columns(store, "one", csv(tmp_path, "video,frame_index,a\nv0.mp4,1,5\n"))
    table: ColumnTable = column_tables(store)["one"]
    damaged = tmp_path / "store" / table.file(0)
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"123456789")
    with pytest.raises(CoreframeError, match="`coreframe columns drop one --store"):
        read_block(store, table, 0)
    found, lost = check_kept_files(store, catalogue, repair=True)
    assert "columns/one/block-00000000" in found[0]
    assert lost == []
    assert column_tables(store) == {}


def test_nothing_that_is_forgotten_stays_in_files_that_no_reader_needs(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10, 10])
    add_columns(store, "one", csv(tmp_path, "video,frame_index,a\nv0.mp4,1,secret\n"))
    again = "video,frame_index,a\nv0.mp4,99,other\nv1.mp4,2,other\n"
    add_columns(store, "one", csv(tmp_path, again))
    held = tmp_path / "store" / "columns"
    assert any(b"secret" in file.read_bytes() for file in held.rglob("*.parquet"))  # being read
    (held / "two").mkdir()
    (held / "two" / "block-00000000-1.parquet").write_bytes(b"secret")  # of a run that was killed
    (held / "one" / "block-00000001-9.parquet").write_bytes(b"secret")
    erase_rows(store, np.arange(10))
    assert not any(b"secret" in file.read_bytes() for file in held.rglob("*") if file.is_file())
    assert kept(store, "one")["a"].tolist() == ["other"]
    assert store.folder.names("columns") == ["one"]


def test_lines_that_are_one_a_frame_again_are_said_to_be(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10, 10])
    twice = "video,frame_index,a\nv0.mp4,1,5\nv0.mp4,1,6\nv1.mp4,9,7\nv1.mp4,9,8\n"
    add_columns(store, "one", csv(tmp_path, twice))
    add_columns(store, "one", csv(tmp_path, "video,frame_index,a\nv0.mp4,1,5\n"))
    assert column_tables(store)["one"].several
    add_columns(store, "one", csv(tmp_path, "video,frame_index,a\nv1.mp4,9,7\n"))
    assert not column_tables(store)["one"].several
    assert kept(store, "one")["row"].tolist() == [1, 19]


def test_names_of_tables_differ_in_more_than_capitals(tmp_path: Path) -> None:
    store = store_of(tmp_path, [10])
    file = csv(tmp_path, "video,frame_index,a\nv0.mp4,1,5\n")
    add_columns(store, "one", file)
    with pytest.raises(UsageError, match="columns named one, from which One differs in capitals"):
        add_columns(store, "One", file)
    assert list(column_tables(store)) == ["one"]
