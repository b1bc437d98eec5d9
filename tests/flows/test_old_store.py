"""A store of commit 1e0a6dd in this version: the same command, and two more nights."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coreframe.flows.choosing import Selecting
from coreframe.flows.curate import curate
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.tasks.embedders.names import EARLIER_DESCRIPTOR
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.store import Store
from tests.runs import bytes_of
from tests.videos import clips

OLD = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd"

pytestmark = pytest.mark.usefixtures("server", "without_page")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with a page, which was left out there."""
    shutil.copytree(OLD, tmp_path / "old")
    (tmp_path / "old" / "out" / "report.html").touch()
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def night(
    cluster: str, store: str = "store", out: str = "out", n: int = 5, **given: Any
) -> dict[str, Any]:
    """The command that made it, without what it said of the embeddings."""
    return curate(
        store=store,
        out=out,
        corpus=Sources(videos=["videos"], corrupt_threshold=0.5),
        ingestion=Ingestion(**given),
        selecting=Selecting(name="nightly", n_samples=n),
        compute=Compute(cluster=cluster),
    )


def settled(store: Path) -> dict[str, bytes]:
    """What more nights may not change: settings, indexes, the full block."""
    kept = ("embeddings.zarr/zarr.json", "embedding/c/0/", "block-00000000", "index/")
    return {
        str(path.relative_to(store)): data
        for path, data in bytes_of(store).items()
        if any(part in str(path) for part in kept)
    }


def embedded(store: str) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """All frames by video and position, with their vectors."""
    opened = Store.open(store)
    names = {video.video: video.path for video in opened.read_catalogue().videos}
    frames = opened.frames()
    frames["video"] = frames["video"].map(names)
    frames = frames.sort_values(["video", "frame_index"])
    vectors = opened.read_rows(frames["row"].to_numpy())
    return list(frames.drop(columns="row").itertuples(index=False, name=None)), vectors


def test_the_same_command_then_two_more_nights(old: Path, cluster: str) -> None:
    before, first = settled(old / "store"), pd.read_parquet("out/selection.parquet")["row"]
    assert night(cluster, every=2, block_rows=16)["run"]["nothing_new"]
    assert night(cluster)["run"]["nothing_new"]
    rows, vectors = embedded("store")

    made = clips(old / "made", ["c", "d", "e"])
    for names in (["c", "d"], ["e"]):
        for name in names:
            (made / f"{name}.mp4").rename(old / "videos" / f"{name}.mp4")
        run = night(cluster)["run"]
        assert run["counts"]["embedded_frames"] == 2 * len(names)
        assert run["counts"]["kept_frames"] == 5
        assert run["parameters"]["ingestion"]["every"] == 2
        assert set(before.items()) <= set(settled(old / "store").items())
        assert Store.open("store").settings.format_version == 1
        pd.testing.assert_series_equal(pd.read_parquet("out/selection.parquet")["row"], first)
    extended = night(cluster, n=8)["run"]["counts"]
    assert (extended["kept_frames"], extended["selected_frames"]) == (5, 8)
    now = pd.read_parquet("out/selection.parquet")["row"]
    pd.testing.assert_series_equal(now.head(5), first)
    assert now.nunique() == 8

    now_rows, now_vectors = embedded("store")
    place = {row[:3]: number for number, row in enumerate(now_rows)}
    assert [now_rows[place[row[:3]]] for row in rows] == rows
    assert np.array_equal(now_vectors[[place[row[:3]] for row in rows]], vectors)

    night(cluster, "fresh", "fresh-out", every=2, embedder=EARLIER_DESCRIPTOR)
    fresh_rows, fresh_vectors = embedded("fresh")  # whose digests are of another version
    assert [row[:4] + row[5:] for row in fresh_rows] == [row[:4] + row[5:] for row in now_rows]
    assert not {row[4] for row in fresh_rows} & {row[4] for row in now_rows}
    assert np.array_equal(fresh_vectors, now_vectors)


def test_another_value_that_is_given_is_refused(old: Path, cluster: str) -> None:
    before = bytes_of(old)
    with pytest.raises(UsageError, match="was made with sampling every 2, not every 3"):
        night(cluster, every=3)
    assert bytes_of(old) == before
