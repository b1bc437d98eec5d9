"""What is forgotten is nowhere in a store, all else is as it was, and nothing comes back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coreframe.flows.choosing import Selecting
from coreframe.flows.forget import forget, unforget
from coreframe.flows.record import recorded
from coreframe.tasks.check.task import check_store
from coreframe.tasks.columns.add import add_columns
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.output.files import SELECTION
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store.columns import column_tables, read_block
from coreframe.tasks.store.forgotten import read_forgotten
from coreframe.tasks.store.store import Store
from tests.forget.trial import GONE, ended_at_moments, make_store, night, traces
from tests.runs import by_name, content, run
from tests.videos import clips


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> Path:
    return make_store(tmp_path_factory.mktemp("forget"), cluster)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path


def test_columns_say_nothing_of_it_any_more(place: Path) -> None:
    store = Store.open(place / "store")
    lines = [f"{name}.mp4,0,secret {name}" for name in ("clip-1", "clip-2")]
    (place / "known.csv").write_text("\n".join(["video,frame_index,said", *lines]))
    add_columns(store, "known", str(place / "known.csv"))
    forget(str(store.path), [GONE])
    table = column_tables(store)["known"]
    said = [one for b in table.blocks for one in read_block(store, table, b)["said"].to_pylist()]
    assert said == ["secret clip-1"]
    for file in (place / "store" / "columns").rglob("*.parquet"):
        assert "secret clip-2" not in pq.read_table(file)["said"].to_pylist()


def test_nothing_of_it_is_left_and_all_else_is_as_it_was(
    made: Path, place: Path, cluster: str
) -> None:
    store = Store.open(place / "store")
    before, vectors = content(store)
    nightly = Selecting(name="nightly", n_samples=14).choice()
    chosen = set(choose_frames(store, nightly, "cpu", cluster).chosen)
    gone = by_name(store)["clip-2"]
    numbers = [gone.video, by_name(store)["copy"].video]
    own = before["video"].isin(numbers).to_numpy()
    names = [GONE, "copy.mp4", gone.fingerprint]
    assert traces(store, names, vectors[own])

    table = pa.table({"row": [*before["row"][own][:3], 0]})
    for out in ("out", "gone", "other"):
        (place / out).mkdir(exist_ok=True)
        pq.write_table(table if out != "other" else table.slice(3), place / out / SELECTION)
        with recorded(store, "select", {"out": str(place / out)}, None):
            pass
    shutil.rmtree(place / "gone")
    with recorded(store, "train", {"out": str(place / "other")}, None):
        pass
    dry = forget(str(place / "store"), [GONE], dry_run=True)
    assert (dry["contents"], dry["videos"], dry["frames"]) == (1, 2, 8)
    assert dry["outside"] == [(str(place / "out"), 3), (str(place / "other"), None)]
    assert content(store)[0].equals(before)
    assert forget(str(place / "store"), [GONE]) == dry | {"dry_run": False}

    lists = {str(place / "store" / name) for name in ("forgotten.json", "forgotten-copy.json")}
    assert set(traces(store, names, vectors[own])) == lists
    assert not traces(store, names[:2], vectors[own])
    after, left = content(store)
    assert after.equals(before[~own].reset_index(drop=True))
    assert (left == vectors[~own]).all()
    assert check_store(store, cluster, repair=False).sound
    catalogue = store.read_catalogue()
    assert [video.rows for video in catalogue.videos] == [4] * 7  # the others' numbers stay
    kept = choose_frames(store, Selecting(name="nightly", n_samples=1).choice(), "cpu", cluster)
    assert set(kept.chosen) == chosen - set(before["row"][own])

    record = json.loads(sorted((place / "store" / "runs").iterdir())[0].read_text())
    assert record["changes"]["new"]["first"].count("(forgotten)") == 2
    assert "clip-1.mp4" in record["changes"]["new"]["first"]

    shutil.copytree(made / "videos", place / "videos")
    rows = night(place / "videos", place / "store", cluster, 14)  # the files are still there
    assert len(rows) == 14
    assert not set(rows) & set(before["row"][own])
    assert not traces(store, names[:2], vectors[own])
    shutil.copy(made / "videos" / GONE, place / "videos" / "another-name.mp4")
    _, counts = run(place / "videos", place / "store", cluster, block_rows=10)
    assert counts.frames == 0

    with pytest.raises(UsageError, match="is not among what"):
        unforget(str(place / "store"), [str(made / "videos" / "clip-1.mp4")])
    assert unforget(str(place / "store"), [str(made / "videos" / GONE)]) == [gone.fingerprint]
    (place / "videos" / "another-name.mp4").unlink()
    _, counts = run(place / "videos", place / "store", cluster, block_rows=10)
    assert counts.frames == 8
    back = by_name(store)["clip-2"]
    assert back.state == "ok"
    assert back.first_row >= 28  # rows of its own, behind all others
    again = store.read_rows(np.arange(back.first_row, back.first_row + 4))
    assert (again == vectors[before["video"] == gone.video]).all()


@pytest.mark.parametrize("by", ["source", "fingerprint", "file"])
def test_a_video_is_known_by_its_file_and_by_its_content(made: Path, place: Path, by: str) -> None:
    gone = by_name(Store.open(place / "store"))["clip-2"]
    (place / "other.mp4").write_bytes((made / "videos" / GONE).read_bytes())
    name = {"source": gone.source, "fingerprint": gone.fingerprint, "file": place / "other.mp4"}
    assert forget(str(place / "store"), [str(name[by])])["videos"] == 2


def test_a_file_is_forgotten_before_it_comes(place: Path, cluster: str) -> None:
    videos = clips(place / "more", [f"x{number}" for number in range(9)])
    found = forget(str(place / "store"), [str(videos / "x8.mp4")])
    assert (found["contents"], found["videos"], found["frames"]) == (1, 0, 0)
    run(videos, place / "store", cluster, block_rows=10)
    assert "x8" not in by_name(Store.open(place / "store"))


@pytest.mark.parametrize("name", ["", "clip-9.mp4", "0" * 32])
def test_what_nobody_knows_is_refused(place: Path, name: str) -> None:
    with pytest.raises(UsageError):
        forget(str(place / "store"), [name])
    assert not (place / "store" / "forgotten.json").exists()


def test_without_its_list_a_store_lets_nothing_come_back(place: Path, cluster: str) -> None:
    store = Store.open(place / "store")
    before = forget(str(place / "store"), [GONE]) and store.folder.read("forgotten.json")
    forget(str(place / "store"), ["clip-1.mp4"])
    (place / "store" / "forgotten.json").write_bytes(before)  # another night's
    known = read_forgotten(store, store.read_catalogue()).fingerprints
    assert len(known) == 2
    checked = check_store(store, cluster, repair=True)
    assert "differs" in checked.described()[0]
    assert read_forgotten(store, store.read_catalogue()).fingerprints == known
    assert check_store(store, cluster, repair=False).sound
    for path in (place / "store").glob("forgotten*"):
        path.unlink()
    assert "would come back" in check_store(store, cluster, repair=True).lost[0]
    with pytest.raises(CoreframeError, match="would come back"):
        run(place, place / "store", cluster, block_rows=10)


def test_ended_at_any_moment_the_next_run_completes_it(
    made: Path, tmp_path: Path, cluster: str
) -> None:
    assert ended_at_moments(made, tmp_path, cluster, every=4) > 20  # at each one in tests/trials


def test_a_store_of_format_1(tmp_path: Path, cluster: str) -> None:
    old = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd" / "store"
    shutil.copytree(old, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    frames, vectors = content(store)
    gone = by_name(store)["night-2"]
    own = (frames["video"] == gone.video).to_numpy()
    forget(store.path, [gone.path])
    assert not traces(store, [gone.path], vectors[own])
    assert not store.folder.exists("catalogue-earlier.parquet")
    assert content(store)[0].equals(frames[~own].reset_index(drop=True))
    assert (content(store)[1] == vectors[~own]).all()
    assert check_store(store, cluster, repair=False).sound


def test_a_store_in_a_bucket(bucket: str, tmp_path: Path, made: Path, cluster: str) -> None:
    for path in (made / "videos").glob("*.mp4"):
        open_folder(f"{bucket}/videos").write(path.name, path.read_bytes())
    night(f"{bucket}/videos", f"{bucket}/store", cluster)
    store = Store.open(f"{bucket}/store")
    gone = by_name(store)["clip-2"]
    assert gone.source == f"{bucket}/videos/{GONE}"
    forget(store.path, [gone.source])
    assert gone.fingerprint == fingerprint(gone.source)
    assert not store.read_rows(np.arange(gone.first_row, gone.first_row + 4)).any()
    assert not store.has_index(gone.fingerprint)
    _, counts = run(f"{bucket}/videos", store.path, cluster, block_rows=10)
    assert counts.frames == 0
    assert check_store(store, cluster, repair=False).sound
    for name in store.folder.names("runs"):
        assert GONE.encode() not in store.folder.read(f"runs/{name}")
