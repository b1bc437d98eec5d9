"""What a run of the flow does when little or nothing has changed since the last."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.named_selections import NamedSelection
from tests.flows.again import again, nothing_new, records, without_records
from tests.runs import bytes_of
from tests.videos import clips

NAMES = [f"clip-{number:02d}" for number in range(12)]

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("server", "without_page")]


def test_nights_of_change(tmp_path: Path, cluster: str) -> None:
    """New, nothing, deleted, changed, renamed, back: each told, and nothing done twice."""
    videos = clips(tmp_path / "videos", NAMES)
    first = again(tmp_path, cluster)["run"]
    assert first["changes"] == {"new": {"count": 12, "first": [f"{name}.mp4" for name in NAMES]}}
    assert first["counts"]["selected_frames"] == 12
    chosen = pd.read_parquet(tmp_path / "out" / "selection.parquet")

    before = without_records(tmp_path)
    assert again(tmp_path, cluster)["run"]["nothing_new"]
    assert without_records(tmp_path) == before  # no byte but the record
    assert [record["outcome"] for record in records(tmp_path)] == ["completed"] * 2
    assert records(tmp_path)[1]["changes"] == {}

    gone = str(chosen["video"][0])
    kept = tmp_path / gone
    shutil.move(videos / gone, kept)
    second = again(tmp_path, cluster)["run"]
    assert second["changes"] == {"gone": {"count": 1, "first": [gone]}}
    own = int((chosen["video"] == gone).sum())
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"| gone | 1 | {gone} |" in report
    assert f"Of videos that are gone or have changed: {own}\n" in report
    assert (second["counts"]["absent_frames"], second["counts"]["absent_images"]) == (own, 0)
    after = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    pd.testing.assert_frame_equal(after, chosen)  # still chosen, and their images still there
    assert all((tmp_path / "out" / file).is_file() for file in after["file"])

    other = str(chosen[chosen["video"] != gone]["video"].iloc[0])
    clips(tmp_path / "more", [f"x{number}" for number in range(20)])
    shutil.copy(tmp_path / "more" / "x15.mp4", videos / other)
    third = again(tmp_path, cluster)["run"]
    assert third["changes"] == {"changed": {"count": 1, "first": [other]}}
    assert third["counts"]["embedded_frames"] == 4
    selected = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    assert selected["row"][:12].tolist() == chosen["row"].tolist()
    assert selected["file"].is_unique

    renamed = sorted(path.name for path in videos.iterdir() if path.name not in (gone, other))[0]
    (videos / renamed).rename(videos / "renamed.mp4")
    fourth = again(tmp_path, cluster)["run"]
    assert fourth["changes"] == {"moved": {"count": 1, "first": ["renamed.mp4"]}}
    assert fourth["counts"]["embedded_frames"] == 0

    shutil.move(kept, videos / gone)
    fifth = again(tmp_path, cluster)["run"]
    assert fifth["changes"] == {"back": {"count": 1, "first": [gone]}}
    assert fifth["counts"]["embedded_frames"] == 0

    (videos / gone).unlink()
    dropped = again(tmp_path, cluster, drop_gone=True)["run"]
    replaced = int((chosen["video"] == other).sum())
    assert dropped["counts"]["gone_frames"] == own + replaced
    final = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    assert gone not in set(final["video"])


def test_images_that_somebody_deleted_are_written_again(tmp_path: Path, cluster: str) -> None:
    clips(tmp_path / "videos", NAMES[:4])
    again(tmp_path, cluster)
    before = bytes_of(tmp_path / "out" / "frames")
    next(iter(before)).unlink()
    assert "nothing_new" not in again(tmp_path, cluster)["run"]
    assert bytes_of(tmp_path / "out" / "frames") == before


def test_a_run_that_fails_leaves_a_record_that_says_why(tmp_path: Path, cluster: str) -> None:
    videos = clips(tmp_path / "videos", NAMES[:2])
    (videos / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(CoreframeError, match="1 of 3 videos are broken"):
        again(tmp_path, cluster)
    record = records(tmp_path)[0]
    assert record["outcome"] == "failed"
    assert "1 of 3 videos are broken" in record["reason"]
    assert record["changes"]["unusable"] == {"count": 1, "first": ["broken.mp4"]}


@pytest.mark.parametrize("length", [1, 2])
def test_a_night_on_a_store_that_was_restored_extends_its_selection_again(
    length: int, tmp_path: Path, cluster: str
) -> None:
    asked = {"proportion": 0.5, "sequence_length": length}
    clips(tmp_path / "videos", NAMES)
    again(tmp_path, cluster, sequence_length=length)
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    again(tmp_path, cluster, **asked)
    chosen = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    kept = NamedSelection(str(tmp_path / "store"), "nightly").rows().tolist()
    shutil.rmtree(tmp_path / "store")
    shutil.move(tmp_path / "backup", tmp_path / "store")
    assert "nothing_new" not in again(tmp_path, cluster, **asked)["run"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "selection.parquet"), chosen)
    assert NamedSelection(str(tmp_path / "store"), "nightly").rows().tolist() == kept
    assert again(tmp_path, cluster, **asked)["run"]["nothing_new"]


def test_the_report_names_what_cannot_be_read_also_where_nothing_else_is_new(
    tmp_path: Path, cluster: str
) -> None:
    videos = clips(tmp_path / "videos", NAMES)
    again(tmp_path, cluster)
    chosen = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    (videos / "cut.mp4").write_bytes((videos / "clip-00.mp4").read_bytes()[:200])
    yellow = again(tmp_path, cluster)
    assert "1 video is broken: cut.mp4: " in yellow["warnings"][0]
    report = tmp_path / "out" / "report.md"
    assert "| cut.mp4 | broken |" in report.read_text()
    assert again(tmp_path, cluster)["run"]["nothing_new"]
    (videos / "cut.mp4").unlink()
    assert again(tmp_path, cluster)["warnings"] == []
    assert "cut.mp4 | broken" not in report.read_text()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "selection.parquet"), chosen)


def test_a_night_with_nothing_new_on_many_videos(tmp_path: Path, cluster: str) -> None:
    nothing_new(tmp_path, cluster, count=600)  # 10,000 in tests/trials
