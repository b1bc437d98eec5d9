"""What a run of the flow does when little or nothing has changed since the last."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coreframe.flows.curate import curate
from coreframe.flows.parameters import Compute, Corpus, Ingestion, Selecting
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.frames import frames_table
from tests.runs import bytes_of, run
from tests.videos import clips

NAMES = [f"clip-{number:02d}" for number in range(12)]

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("server", "without_page")]


def again(place: Path, cluster: str, block_rows: int = 16, **selecting: Any) -> dict[str, Any]:
    return curate(
        store=str(place / "store"),
        out=str(place / "out"),
        corpus=Corpus(videos=[str(place / "videos")]),
        ingestion=Ingestion(block_rows=block_rows),
        selecting=Selecting(**{"name": "nightly", "proportion": 0.25} | selecting),
        compute=Compute(cluster=cluster),
    )


def records(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((place / "store" / "runs").iterdir())]


def without_records(place: Path) -> dict[Path, bytes]:
    return {
        path: data
        for path, data in bytes_of(place).items()
        if path.parent.name != "runs" and path.name not in ("lock.json", ".guard")
    }


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


def test_a_night_with_nothing_new_on_10_000_videos(tmp_path: Path, cluster: str) -> None:
    """Copies of one video whose files differ in their last bytes, put into the store by hand."""
    videos = clips(tmp_path / "videos", ["a"])
    store, _ = run(videos, tmp_path / "store", cluster, block_rows=1024)
    catalogue, table = store.read_catalogue(), store.committed(0)
    assert table is not None
    one, data = catalogue.videos[0], (videos / "a.mp4").read_bytes()
    facts, index = store.read_facts_and_index(one.fingerprint)
    for number in range(1, 10_000):
        path = videos / f"copy-{number:05d}.mp4"
        path.write_bytes(data + number.to_bytes(4, "big"))
        copy = replace(one, video=number, path=path.name, source=str(path), first_row=4 * number)
        catalogue.videos.append(replace(copy, fingerprint=fingerprint(path)))
        store.write_index(catalogue.videos[-1].fingerprint, facts, index)
    store.plan_rows(40_000)
    four, vectors = table.to_pandas(), store.read_rows(np.arange(4))
    for block in store.blocks_of(0, 40_000):
        rows = np.arange(1024 * block, min(1024 * (block + 1), 40_000))
        own = four.iloc[rows % 4].assign(row=rows, video=(rows // 4).astype(np.int32))
        tuples = list(own.itertuples(index=False, name=None))
        store.commit_block(block, vectors[rows % 4], frames_table(tuples))
    store.write_catalogue(catalogue)

    again(tmp_path, cluster, block_rows=1024)
    before = without_records(tmp_path)
    assert again(tmp_path, cluster, block_rows=1024)["run"]["nothing_new"]
    assert without_records(tmp_path) == before
    record = records(tmp_path)[-1]
    assert record["counts"]["files"] == {"ok": 10_000}
    assert record["changes"] == {}
    print(f"{record['seconds']} s")
