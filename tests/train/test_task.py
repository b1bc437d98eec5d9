"""Training by its stages: from a store to a checkpoint, and on to a store of its embeddings."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from dask.distributed import Client
from prefect.logging import disable_run_logger

import coreframe.tasks.train.task
from coreframe.tasks.embedders.simclr import Checkpoint
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.store import Store
from coreframe.tasks.train.job import Trained
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.train.task import Gathered, gather_frames, train_network
from tests.runs import content, ingest
from tests.videos import Recipe, damage, make, sequential_rgb

SETTINGS = TrainingSettings(max_epochs=2, batch_size=16, threads=1)


@pytest.fixture(autouse=True)
def outside_of_prefect() -> Iterator[None]:
    with disable_run_logger():
        yield


@pytest.fixture(scope="module")
def corpus(made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("closed_gop.mp4", "high_444.mp4", "variable_rate.mkv"):
        shutil.copy(made_videos[name], folder / name)
    sound = make(Recipe("sound.mp4", options={"bf": "0"}, frames=50), folder)
    damage(sound, folder / "damaged.mp4", packet=30)
    return folder


@pytest.fixture(scope="module")
def store(corpus: Path, cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return ingest([corpus], tmp_path_factory.mktemp("store") / "s", cluster)[0]


def gather(store: Store, folder: Path, cluster: str, max_frames: int = 1000) -> Gathered:
    folder.mkdir()
    return gather_frames(store, folder, 32, max_frames, cluster)


def train(gathered: Gathered, cluster: str, out: Path, checkpoint: str | None = None) -> Trained:
    out.mkdir(exist_ok=True)
    return train_network(gathered.frames, SETTINGS, 32, checkpoint, "cpu", cluster, out)


def test_every_different_decodable_frame_is_learned_from(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    gathered = gather(store, tmp_path / "frames", cluster)
    table = store.frames().query("state == 'ok'")
    unique = table.drop_duplicates("digest")
    assert len(gathered.frames) == len(unique)
    assert gathered.duplicates == len(table) - len(unique) > 0
    assert gathered.failures == []
    assert gathered.frames.video.tolist() == unique["video"].tolist()
    assert gathered.frames.time_s.tolist() == unique["time_s"].tolist()
    video = {video.path: video.video for video in store.read_catalogue().videos}
    places = np.flatnonzero(gathered.frames.video == video["closed_gop.mp4"])
    shown = gathered.frames.open()[places].numpy().astype(int)
    whole = sequential_rgb(Path(store.read_catalogue().videos[video["closed_gop.mp4"]].source))
    for small, large in zip(shown, whole, strict=True):  # every second line, every third column
        assert np.abs(small - large[::2, 1::3]).mean() < 12


def test_of_many_frames_some_at_an_even_stride(store: Store, tmp_path: Path, cluster: str) -> None:
    whole = gather(store, tmp_path / "whole", cluster)
    some = gather(store, tmp_path / "some", cluster, max_frames=20)
    assert len(some.frames) == 20
    moments = list(zip(whole.frames.video, whole.frames.time_s, strict=True))
    places = [moments.index(m) for m in zip(some.frames.video, some.frames.time_s, strict=True)]
    assert set(np.diff(places)) <= {len(moments) // 20, len(moments) // 20 + 1}


def test_two_runs_give_the_same_checkpoint_and_it_embeds(
    store: Store, corpus: Path, tmp_path: Path, cluster: str
) -> None:
    gathered = gather(store, tmp_path / "frames", cluster)
    one = train(gathered, cluster, tmp_path / "model")
    other = train(gathered, cluster, tmp_path / "other")
    assert one.checkpoint == other.checkpoint
    assert len(one.losses) == SETTINGS.max_epochs
    assert (tmp_path / "model" / "checkpoint.safetensors").read_bytes() == one.checkpoint

    name = f"simclr:{tmp_path}/model"
    embedded, _ = ingest([corpus], tmp_path / "embedded", cluster, embedder=name, batch_size=8)
    assert embedded.settings.fingerprint == one.fingerprint
    assert embedded.settings.input_px == 32
    vectors = content(embedded)[1]
    assert len(np.unique(vectors, axis=0)) > len(gathered.frames) / 2
    cut, _ = ingest([corpus], tmp_path / "cut", cluster, embedder=name, batch_size=8, block_rows=7)
    assert np.array_equal(content(cut)[1], vectors)

    further = train(gathered, cluster, tmp_path / "further", checkpoint=str(tmp_path / "model"))
    assert further.losses[0] < one.losses[0]
    assert further.fingerprint != one.fingerprint


def test_killed_workers_change_nothing(
    store: Store, tmp_path: Path, cluster: str, processes: str
) -> None:
    gathered = gather(store, tmp_path / "frames", cluster)
    expected = train(gathered, cluster, tmp_path / "expected")
    original = coreframe.tasks.train.task.gather
    killed = []

    def gather_after_killing(client: Client, *arguments: Any) -> Any:
        answer = original(client, *arguments)
        if not killed:  # the first epoch is over, and what came of it is in one of them
            killed.extend(client.run(os.getpid).values())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return answer

    with mock.patch("coreframe.tasks.train.task.gather", gather_after_killing):
        found = train(gathered, processes, tmp_path / "found")
    assert len(killed) == 2
    assert found.losses == expected.losses
    assert found.checkpoint == expected.checkpoint


def test_a_video_that_is_gone_is_named(corpus: Path, tmp_path: Path, cluster: str) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    store, _ = ingest([copy], tmp_path / "s", cluster)
    whole = gather(store, tmp_path / "whole", cluster)
    (copy / "closed_gop.mp4").unlink()
    gathered = gather(store, tmp_path / "frames", cluster)
    assert len(gathered.failures) == 1
    lost = len(whole.frames) - len(gathered.frames)
    assert lost > 0
    assert f"{lost} frames of {copy}/closed_gop.mp4 are left out: " in gathered.failures[0]
    train(gathered, cluster, tmp_path / "model")


def test_an_interrupted_training_leaves_its_last_epoch(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    gathered = gather(store, tmp_path / "frames", cluster)
    original = coreframe.tasks.train.task.gather
    calls = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    with (
        mock.patch("coreframe.tasks.train.task.gather", interrupted),
        pytest.raises(KeyboardInterrupt),
    ):
        train(gathered, cluster, tmp_path / "model")
    assert Checkpoint.read(str(tmp_path / "model")).epochs == 1
    train(gathered, cluster, tmp_path / "more", checkpoint=str(tmp_path / "model"))


def test_nothing_to_tell_apart(tmp_path: Path, cluster: str) -> None:
    short = make(Recipe("short.mp4", frames=40, rate=25), tmp_path)
    store, _ = ingest([short], tmp_path / "s", cluster)
    with pytest.raises(CoreframeError, match=r"all 40 frames .* one video and within 2 s"):
        gather(store, tmp_path / "frames", cluster)


def test_too_few_frames(made_videos: dict[str, Path], tmp_path: Path, cluster: str) -> None:
    store, _ = ingest([made_videos["one_frame.mp4"]], tmp_path / "s", cluster)
    with pytest.raises(CoreframeError, match=r"has 1 different frames .* needs 16"):
        gather(store, tmp_path / "frames", cluster)
