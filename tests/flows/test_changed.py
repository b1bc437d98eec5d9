"""Videos that do not give again what was embedded: taken out, replaced, told; the run is whole."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import FlowRunSort

from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import Compute
from coreframe.flows.selection import select
from coreframe.tasks.datasets.formats import export_dataset
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.store import Store
from tests.flows.again import again, records
from tests.flows.odd import decode_differently
from tests.runs import by_name, run
from tests.videos import clips

NAMES = [f"clip-{number:02d}" for number in range(6)]

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("server", "without_page")]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the events that runs emit."""
    emitted: list[str] = []

    def note(event: str, **_: object) -> None:
        emitted.append(event)

    monkeypatch.setattr("coreframe.flows.record.emit_event", note)
    return emitted


def last_state() -> State[Any] | None:
    """Of the flow run that began last."""

    async def ask() -> State[Any] | None:
        async with get_client() as client:
            runs = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
            return runs[0].state

    return asyncio.run(ask())


def whole(out: Path) -> pd.DataFrame:
    """The selection, of which every file is there and can be exported."""
    selection = pd.read_parquet(out / "selection.parquet")
    assert all((out / file).is_file() for file in selection["file"].dropna())
    shutil.rmtree(out / "coco", ignore_errors=True)
    assert export_dataset(out, "coco", None, None).frames == selection["file"].notna().sum()
    return selection


def test_a_changed_video_turns_one_night_yellow_and_none_red(
    tmp_path: Path, cluster: str, events: list[str]
) -> None:
    clips(tmp_path / "videos", NAMES)
    again(tmp_path, cluster)
    before = whole(tmp_path / "out")
    odd = str(before["video"][4])
    decode_differently(Store.open(tmp_path / "store"), odd)
    result = again(tmp_path, cluster, proportion=0.3)
    (warning,) = result["warnings"]
    assert warning.startswith(
        f"1 video is taken out (quarantined): {odd}: it does not decode to what was embedded: "
    )
    assert str(tmp_path) not in warning
    assert by_name(Store.open(tmp_path / "store"))[odd.removesuffix(".mp4")].state == "quarantined"
    after = whole(tmp_path / "out")
    kept = before[before["video"] != odd]
    assert after["row"][: len(kept)].tolist() == kept["row"].tolist()
    assert len(after) == 6  # of the 20 frames that are left
    assert odd not in set(after["video"])
    record = records(tmp_path)[-1]
    assert (record["outcome"], record["reason"]) == ("completed with warnings", warning)
    assert record["changes"] == {"quarantined": {"count": 1, "first": [odd]}}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["outcome"] == record["outcome"]
    state = last_state()
    assert state is not None
    assert (state.type.value, state.name, state.message) == ("COMPLETED", "Warned", warning)
    assert events == ["coreframe.run.completed", "coreframe.run.warned"]

    later = again(tmp_path, cluster, proportion=0.3)  # it is said once
    assert (later["run"]["nothing_new"], later["warnings"]) == (True, [])
    assert records(tmp_path)[-1]["outcome"] == "completed"
    assert events[-1] == "coreframe.run.completed"


def test_another_choice_is_made_where_chosen_frames_have_changed(
    tmp_path: Path, cluster: str
) -> None:
    """What is chosen is what the definition says of the videos that are left."""
    videos = clips(tmp_path / "videos", NAMES)
    store, _ = run(videos, tmp_path / "store", cluster)
    decode_differently(store, "clip-05.mp4")
    (videos / "clip-04.mp4").write_bytes((videos / "clip-00.mp4").read_bytes())  # since then
    (videos / "clip-05.mp4").rename(tmp_path / "clip-05.mp4")
    (videos / "clip-04.mp4").rename(tmp_path / "clip-04.mp4")
    run(videos, tmp_path / "without", cluster)
    for name in ("clip-04.mp4", "clip-05.mp4"):
        (tmp_path / name).rename(videos / name)

    def chosen(name: str) -> pd.DataFrame:
        result = select(
            store=str(tmp_path / name),
            out=str(tmp_path / f"out-{name}"),
            selecting=Selecting(n_samples=8),
            compute=Compute(cluster=cluster),
        )
        assert len(result["warnings"]) == 2 * (name == "store")
        assert records(tmp_path, name)[-1]["warnings"] == result["warnings"]
        return whole(tmp_path / f"out-{name}")

    pd.testing.assert_frame_equal(chosen("store"), chosen("without"))
    found = {name: (video.state, video.reason) for name, video in by_name(store).items()}
    assert found["clip-04"] == ("missing", "its file was replaced while it was being read")
    assert found["clip-05"][0] == "quarantined"
    assert not (store.folder.exists("lock.json") and b"token" in store.folder.read("lock.json"))


def test_an_image_that_cannot_be_written_is_no_video_s_fault(tmp_path: Path, cluster: str) -> None:
    store, _ = run(clips(tmp_path / "videos", NAMES[:2]), tmp_path / "store", cluster)
    (tmp_path / "out" / "frames" / "clip-00_000001.png").mkdir(parents=True)
    with pytest.raises(CoreframeError, match=r"frame 1 of .*clip-00.mp4 was not written: "):
        select(
            store=str(tmp_path / "store"),
            out=str(tmp_path / "out"),
            selecting=Selecting(proportion=1.0),
            compute=Compute(cluster=cluster),
        )
    assert {video.state for video in by_name(store).values()} == {"ok"}
    selection = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    of_first = selection[selection["video"].str.endswith("clip-00.mp4")]
    lacking = of_first.loc[selection["file"].isna(), "frame_index"]
    assert lacking.min() == 1  # and perhaps those after it, which were to be written with it
    assert len(lacking) == selection["file"].isna().sum()
    assert all((tmp_path / "out" / file).is_file() for file in selection["file"].dropna())
    assert json.loads((tmp_path / "out" / "run.json").read_text())["outcome"] == "failed"
