"""The demo's corpus, and that a coreset finds more of its scenes than the other methods."""

from pathlib import Path

import numpy as np
import pytest

import make_demo
from coreframe.tasks.select.baselines import baseline_rows
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from tests.runs import ingest, scenes_hit


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make_demo.build(folder)
    return folder


def test_coreset_finds_the_scenes(demo: Path, tmp_path: Path, cluster: str) -> None:
    store, _ = ingest([demo], tmp_path / "s", cluster)
    selection = choose_frames(store, Choice(budget=Budget(n_samples=40)), "cpu", cluster)
    names = {video.video: video.path for video in store.read_catalogue().videos}
    frames = store.frames().assign(video=lambda rows: rows["video"].map(names)).set_index("row")
    found = {
        "coreset": scenes_hit(frames.loc[selection.frames["row"]], make_demo.scenes()),
        "fixed-rate": 0,
        "random": 0,
    }
    for method in ("fixed-rate", "random"):
        hits = [
            scenes_hit(
                frames.loc[baseline_rows(method, selection.units.choosable, 40, seed)],
                make_demo.scenes(),
            )
            for seed in range(10)
        ]
        found[method] = round(float(np.mean(hits)))
    total = len({name for *_, name in make_demo.scenes()})
    assert total == 27
    assert found["coreset"] >= 25
    assert found["coreset"] >= found["fixed-rate"] + 5
    assert found["coreset"] >= found["random"] + 5


def test_corpus_holds_what_its_description_says(demo: Path, tmp_path: Path, cluster: str) -> None:
    store, _ = ingest([demo], tmp_path / "s", cluster)
    videos = {video.path: video for video in store.read_catalogue().videos}
    assert videos["broken.mp4"].state == "broken"
    assert videos["notes.txt"].state == "skipped"
    assert videos["phone/station.mov"].rotation == -90
    frames = store.frames()
    assert len(frames) == sum(stop - start for _, start, stop, _ in make_demo.scenes()) == 1592
    assert frames["digest"].duplicated().sum() > 100
    times = frames[frames["video"] == videos["reef.mp4"].video]["time_s"]
    assert len(times.diff().dropna().round(4).unique()) > 1
