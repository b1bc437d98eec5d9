"""What a store holds does not depend on how it came to hold it."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.distributed import LocalCluster

from coreframe.tasks.embed.job import PartJob, embed_part
from coreframe.tasks.embed.plan import PartLimits
from coreframe.tasks.embed.task import embed_frames
from coreframe.tasks.embedders.descriptor import DescriptorEmbedder
from coreframe.tasks.embedders.embedder import EmbedderSpec, forget_embedder
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.sampling import Sampling
from tests.embedders.models import EXAMPLES, rewrite
from tests.runs import content, ingest
from tests.videos import Recipe, damage, make, make_audio, scenes, sequential_rgb


@pytest.fixture(scope="module")
def corpus(made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound, damaged, broken and other files."""
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("closed_gop.mp4", "high_444.mp4", "times_guessed.avi", "one_frame.mp4"):
        shutil.copy(made_videos[name], folder / name)
    sound = make(Recipe("sound.mp4", options={"bf": "0"}, frames=50), folder)
    damage(sound, folder / "damaged.mp4", packet=30)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    (folder / "notes.txt").write_text("no video either")
    make_audio(folder / "sound.wav")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty input folder."""
    path = tmp_path / "in"
    path.mkdir()
    return path


def same(store: Store, other: Store) -> bool:
    (frames, vectors), (other_frames, other_vectors) = content(store), content(other)
    pd.testing.assert_frame_equal(frames, other_frames)
    return np.array_equal(vectors, other_vectors)


def test_every_file_is_in_the_catalogue_with_a_state(
    corpus: Path, tmp_path: Path, cluster: str
) -> None:
    store, counts = ingest([corpus], tmp_path / "s", cluster)
    states = {video.path: video.state for video in store.read_catalogue().videos}
    assert states == {
        "broken.mp4": "broken",
        "closed_gop.mp4": "ok",
        "damaged.mp4": "damaged",
        "high_444.mp4": "ok",
        "notes.txt": "skipped",
        "one_frame.mp4": "ok",
        "sound.mp4": "ok",
        "sound.wav": "skipped",
        "times_guessed.avi": "ok",
    }
    assert counts.censuses == 1
    reasons = {video.path: video.reason for video in store.read_catalogue().videos}
    lost = 50 - len(sequential_rgb(corpus / "damaged.mp4"))
    assert lost > 0
    assert reasons["damaged.mp4"].startswith(f"{lost} of 50 sampled frames cannot be decoded (")
    assert "cannot be opened" in reasons["broken.mp4"]


def test_frames_table_tells_what_a_sequential_decode_gives(
    corpus: Path, tmp_path: Path, cluster: str
) -> None:
    store, _ = ingest([corpus], tmp_path / "s", cluster)
    frames = store.frames()
    assert frames["row"].tolist() == list(range(len(frames)))
    for video in store.read_catalogue().videos:
        if not video.rows:
            continue
        own = frames[frames["video"] == video.video]
        sound = own[own["state"] == "ok"]
        decoded = len(sequential_rgb(corpus / video.path))
        assert sound["frame_index"].tolist() == list(range(decoded)), video.path
        lost = own[own["state"] != "ok"]
        assert (lost["frame_index"] == -1).all()
        assert not store.read_rows(lost["row"].to_numpy()).any()
        assert len(own) == video.rows == video.decoded + video.undecodable


def test_frames_that_show_nothing_are_told(tmp_path: Path, cluster: str) -> None:
    def paint(number: int, width: int, height: int) -> np.ndarray:
        light = (0, 0.04, 1, 1, 0.5)[number // 10]
        return np.asarray(scenes(number, width, height) * light, np.uint8)

    film = make(Recipe("fade.mp4", frames=50, paint=paint), tmp_path / "films")
    store, _ = ingest([film], tmp_path / "store", cluster)
    assert np.flatnonzero(store.frames()["flat"]).tolist() == list(range(20))
    assert (store.frames()["state"] == "ok").all()


@pytest.mark.parametrize("block_rows", [1, 7, 64])
def test_block_size_changes_nothing(
    block_rows: int, corpus: Path, tmp_path: Path, cluster: str
) -> None:
    one, _ = ingest([corpus], tmp_path / "one", cluster)
    other, _ = ingest([corpus], tmp_path / "other", cluster, block_rows=block_rows)
    assert same(one, other)


@pytest.mark.parametrize(("frames", "every"), [(1, 1), (5, 1), (13, 1), (9, 3)])
def test_cutting_into_parts_changes_nothing(
    frames: int,
    every: int,
    corpus: Path,
    tmp_path: Path,
    cluster: str,
) -> None:
    one, _ = ingest([corpus], tmp_path / "one", cluster, every=every)
    other, counts = ingest(
        [corpus],
        tmp_path / "other",
        cluster,
        every=every,
        block_rows=16,
        limits=PartLimits(most_frames=frames, unseekable_frames=frames),
    )
    assert same(one, other)
    assert counts.frames >= len(other.frames())


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batch_size_changes_nothing(
    batch_size: int, corpus: Path, tmp_path: Path, cluster: str
) -> None:
    one, _ = ingest([corpus], tmp_path / "one", cluster)
    other, _ = ingest([corpus], tmp_path / "other", cluster, batch_size=batch_size)
    assert same(one, other)


def test_a_neural_embedder_s_vectors_do_not_depend_on_the_cut(
    corpus: Path, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    EXAMPLES["vit"].save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    settings = {"embedder": "hf:model", "batch_size": 8}
    one, _ = ingest([corpus], tmp_path / "one", cluster, **settings)
    assert one.settings.embedder == "hf:model"
    vectors = content(one)[1]
    assert len(np.unique(vectors, axis=0)) > len(vectors) / 2
    limits = PartLimits(most_frames=5)
    other, _ = ingest(
        [corpus], tmp_path / "other", cluster, block_rows=7, limits=limits, **settings
    )
    assert same(one, other)
    _, counts = ingest(
        [corpus], tmp_path / "one", cluster, embedder=f"hf:{tmp_path}/model", batch_size=8
    )
    assert counts.frames == 0


def test_workers_with_other_weights_of_the_same_name_are_refused(
    corpus: Path, tmp_path: Path, cluster: str
) -> None:
    EXAMPLES["vit"].save(tmp_path / "model")
    store, _ = ingest([corpus], tmp_path / "s", cluster, embedder=f"hf:{tmp_path}/model")
    rewrite(tmp_path / "model" / "preprocessor_config.json", resample=3)
    forget_embedder()
    spec = EmbedderSpec(f"hf:{tmp_path}/model", device="cpu")
    job = PartJob(store.path, (), Sampling(), None, spec, 0.0)
    with pytest.raises(CoreframeError, match=r"was made with .* the same model files"):
        embed_part(job)


def test_threads_of_one_worker_share_an_embedder(
    corpus: Path, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU's worker has them: one for each core that it may decode with."""
    one, _ = ingest([corpus], tmp_path / "one", cluster)
    made = []
    original = DescriptorEmbedder.__init__

    def count(self: DescriptorEmbedder, *arguments: Any) -> None:
        made.append(self)
        time.sleep(0.2)  # long enough for all threads to want it
        original(self, *arguments)

    monkeypatch.setattr(DescriptorEmbedder, "__init__", count)
    forget_embedder()
    with LocalCluster(
        n_workers=1, threads_per_worker=4, processes=False, dashboard_address="127.0.0.1:0"
    ) as wide:
        other, _ = ingest(
            [corpus],
            tmp_path / "other",
            wide.scheduler_address,
            block_rows=16,
            limits=PartLimits(most_frames=10),
        )
    assert same(one, other)
    assert len(made) == 1
    forget_embedder()


def test_second_run_embeds_nothing(corpus: Path, tmp_path: Path, cluster: str) -> None:
    store, first = ingest([corpus], tmp_path / "s", cluster, block_rows=16)
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    _, second = ingest([corpus], tmp_path / "s", cluster)
    after = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert first.frames >= len(store.frames())  # rows before the damage are embedded twice
    assert (second.frames, second.blocks, second.censuses) == (0, 0, 0)
    assert before == after


def test_videos_that_come_later_grow_the_store_as_if_they_had_come_first(
    corpus: Path, tmp_path: Path, cluster: str
) -> None:
    whole, all_at_once = ingest([corpus], tmp_path / "whole", cluster, block_rows=16)
    files = sorted(corpus.iterdir())
    embedded = 0
    for count in (2, 5, len(files)):
        grown, counts = ingest(files[:count], tmp_path / "grown", cluster, block_rows=16)
        embedded += counts.frames
    assert same(whole, grown)
    assert embedded == all_at_once.frames


@pytest.mark.parametrize("lost", [[0], [2, 5], [1, 2, 3, 4, 5, 6, 7]])
def test_interrupted_run_ends_like_one_left_alone(
    lost: list[int], corpus: Path, tmp_path: Path, cluster: str
) -> None:
    """A run that died has some blocks committed and a catalogue that says nothing of them."""
    whole, _ = ingest([corpus], tmp_path / "whole", cluster, block_rows=16)
    half, _ = ingest([corpus], tmp_path / "half", cluster, block_rows=16)
    for block in lost:
        (tmp_path / "half" / "frames" / f"block-{block:08d}.parquet").unlink()
    catalogue = half.read_catalogue()
    for video in catalogue.videos:
        if video.rows:
            catalogue.update(video.video, decoded=0, undecodable=0, state="pending")
    half.write_catalogue(catalogue)
    half, counts = ingest([corpus], tmp_path / "half", cluster)
    assert same(whole, half)
    rows = [range(16 * b, min(16 * b + 16, half.rows_planned())) for b in lost]
    assert counts.frames == sum(map(len, rows))
    assert [v.state for v in half.read_catalogue().videos] == [
        v.state for v in whole.read_catalogue().videos
    ]


def test_renamed_file_is_not_embedded_again(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    shutil.copy(made_videos["closed_gop.mp4"], folder / "old.mp4")
    ingest([folder], tmp_path / "s", cluster)
    (folder / "old.mp4").rename(folder / "new.mp4")
    store, counts = ingest([folder], tmp_path / "s", cluster)
    assert counts.frames == 0
    assert [(v.path, v.state) for v in store.read_catalogue().videos] == [("new.mp4", "ok")]


def test_changed_file_gets_new_rows_and_its_old_ones_are_retired(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    shutil.copy(made_videos["closed_gop.mp4"], folder / "a.mp4")
    ingest([folder], tmp_path / "s", cluster)
    shutil.copy(made_videos["high_444.mp4"], folder / "a.mp4")
    store, counts = ingest([folder], tmp_path / "s", cluster)
    entries = [(v.path, v.state, v.first_row, v.rows) for v in store.read_catalogue().videos]
    assert entries == [("a.mp4", "retired", 0, 40), ("a.mp4", "ok", 40, 40)]
    assert counts.frames == 40


def test_copy_of_a_video_has_rows_of_its_own_that_are_duplicates(
    made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    folder = tmp_path / "in"
    for place in ("one", "two"):
        (folder / place).mkdir(parents=True)
        shutil.copy(made_videos["closed_gop.mp4"], folder / place / "a.mp4")
    store, _ = ingest([folder / "one", folder / "two"], tmp_path / "s", cluster)
    assert [v.path for v in store.read_catalogue().videos] == ["a.mp4", "two/a.mp4"]
    frames, vectors = content(store)
    assert frames["digest"].tolist()[:40] == frames["digest"].tolist()[40:]
    assert np.array_equal(vectors[:40], vectors[40:])


def test_video_that_vanishes_before_it_is_embedded_stays_pending_and_is_named(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    for name in ("closed_gop.mp4", "high_444.mp4"):
        shutil.copy(made_videos[name], folder / name)
    store, _ = ingest([folder], tmp_path / "s", cluster)
    catalogue = store.read_catalogue()
    for path in (tmp_path / "s" / "frames").glob("*.parquet"):
        path.unlink()
    for video in catalogue.videos:
        catalogue.update(video.video, decoded=0, state="pending")
    store.write_catalogue(catalogue)
    (folder / "closed_gop.mp4").unlink()
    from coreframe.flows.parameters import Compute, Ingestion

    spec = Compute(device="cpu").embedder(Ingestion())
    embed_frames(store, Ingestion().sampling(), spec, cluster)
    states = {v.path: (v.state, v.reason) for v in store.read_catalogue().videos}
    assert states["high_444.mp4"] == ("ok", "")
    assert states["closed_gop.mp4"][0] == "pending"
    assert "can no longer be read" in states["closed_gop.mp4"][1]


def test_sampling_and_crop_shape_the_rows(
    made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    video = made_videos["closed_gop.mp4"]
    every, _ = ingest([video], tmp_path / "every", cluster, every=9)
    assert every.frames()["frame_index"].tolist() == [0, 9, 18, 27, 36]
    fps, _ = ingest([video], tmp_path / "fps", cluster, sample_fps="5")
    assert fps.frames()["time_s"].diff().dropna().round(6).eq(0.2).all()
    cropped, _ = ingest([video], tmp_path / "crop", cluster, crop="40:30:8:8", every=9)
    assert cropped.frames()["digest"].tolist() == every.frames()["digest"].tolist()
    assert not np.array_equal(content(cropped)[1], content(every)[1])
    small, _ = ingest([video], tmp_path / "small", cluster, crop="97:64:0:0")
    assert small.read_catalogue().videos[0].state == "broken"
    assert "do not hold the crop" in small.read_catalogue().videos[0].reason


def entries(store: Store) -> list[tuple[str, str]]:
    return [(video.path, video.state) for video in store.read_catalogue().videos]


def test_missing_file_leaves_the_corpus_until_it_is_back(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    for name in ("closed_gop.mp4", "high_444.mp4"):
        shutil.copy(made_videos[name], folder / name)
    ingest([folder], tmp_path / "s", cluster)
    (folder / "closed_gop.mp4").rename(tmp_path / "away.mp4")
    store, _ = ingest([folder], tmp_path / "s", cluster)
    assert entries(store) == [("closed_gop.mp4", "missing"), ("high_444.mp4", "ok")]
    assert read_corpus(store, ["video"])["video"].unique().tolist() == [1]
    (tmp_path / "away.mp4").rename(folder / "back.mp4")
    store, counts = ingest([folder], tmp_path / "s", cluster)
    assert entries(store) == [("back.mp4", "ok"), ("high_444.mp4", "ok")]
    assert counts.frames == 0


def test_content_that_comes_back_gets_its_rows_back(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    for name in ("closed_gop.mp4", "high_444.mp4", "closed_gop.mp4"):
        shutil.copy(made_videos[name], folder / "a.mp4")
        store, counts = ingest([folder], tmp_path / "s", cluster)
    assert [v.state for v in store.read_catalogue().videos] == ["ok", "retired"]
    assert counts.frames == 0


def test_broken_content_under_changing_files_is_judged_anew(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    for data in (b"no video", None, b"no video"):
        if data is None:
            shutil.copy(made_videos["closed_gop.mp4"], folder / "a.mp4")
        else:
            (folder / "a.mp4").write_bytes(data)
        store, _ = ingest([folder], tmp_path / "s", cluster)
    assert [v.state for v in store.read_catalogue().videos] == ["retired", "retired", "broken"]


def test_equal_useless_files_are_judged_each_by_its_name(
    folder: Path, tmp_path: Path, cluster: str
) -> None:
    for name in ("a.txt", "b.mp4", "c.txt"):
        (folder / name).touch()
    for _ in range(2):
        store, _ = ingest([folder], tmp_path / "s", cluster)
        assert entries(store) == [("a.txt", "skipped"), ("b.mp4", "broken"), ("c.txt", "skipped")]


def test_file_with_an_undecodable_name_is_named_and_the_others_go_on(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    shutil.copy(made_videos["closed_gop.mp4"], folder / "good.mp4")
    shutil.copy(made_videos["closed_gop.mp4"], os.fsencode(folder) + b"/bad\xff.mp4")
    store, _ = ingest([folder], tmp_path / "s", cluster)
    assert dict(entries(store)) == {"bad\\xff.mp4": "broken", "good.mp4": "ok"}
    assert "not valid UTF-8" in store.read_catalogue().videos[0].reason


def test_file_that_raises_anything_is_recorded_and_the_others_go_on(
    made_videos: dict[str, Path], tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coreframe.tasks.embed import prepare

    plain = prepare.decode_shown

    def failing(path: str, *arguments: object) -> object:
        if "high_444" in path:
            raise ZeroDivisionError("a fault nobody thought of")
        return plain(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "decode_shown", failing)
    files = [made_videos[name] for name in ("closed_gop.mp4", "high_444.mp4", "mpeg4.mp4")]
    store, _ = ingest(files, tmp_path / "s", cluster)
    assert [v.state for v in store.read_catalogue().videos] == ["ok", "pending", "ok"]
    assert "a fault nobody thought of" in store.read_catalogue().videos[1].reason
    monkeypatch.undo()
    store, counts = ingest(files, tmp_path / "s", cluster)
    assert {v.state for v in store.read_catalogue().videos} == {"ok"}
    assert counts.frames == 40


@pytest.mark.parametrize("block_rows", [7, 1024])
def test_frames_too_small_for_the_crop_are_left_out_one_by_one(
    block_rows: int, tmp_path: Path, cluster: str
) -> None:
    parts = [
        make(Recipe(f"{width}.ts", frames=20, width=width, options={"bf": "0"}), tmp_path)
        for width in (96, 64)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    store, _ = ingest([joined], tmp_path / "s", cluster, crop="80:60:0:0", block_rows=block_rows)
    states = store.frames()["state"].value_counts().to_dict()
    assert states == {"ok": 20, "undecodable": len(store.frames()) - 20}
    video = store.read_catalogue().videos[0]
    assert video.state == "damaged"
    assert "too small for the crop" in video.reason


def test_missing_video_beside_one_to_embed_stays_missing(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path, cluster: str
) -> None:
    for name in ("closed_gop.mp4", "high_444.mp4"):
        shutil.copy(made_videos[name], folder / name)
    ingest([folder], tmp_path / "s", cluster)
    (folder / "high_444.mp4").unlink()
    shutil.copy(made_videos["mpeg4.mp4"], folder / "mpeg4.mp4")  # shares the missing one's block
    store, counts = ingest([folder], tmp_path / "s", cluster)
    assert dict(entries(store)) == {
        "closed_gop.mp4": "ok",
        "high_444.mp4": "missing",
        "mpeg4.mp4": "ok",
    }
    assert counts.frames == 40


def test_index_written_before_the_catalogue_is_used_not_made_again(
    made_videos: dict[str, Path],
    tmp_path: Path,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, _ = ingest([made_videos["closed_gop.mp4"]], tmp_path / "s", cluster)
    expected = whole.read_catalogue().videos
    for later in (tmp_path / "s").glob("catalogue*"):
        later.unlink()
    shutil.rmtree(tmp_path / "s" / "frames")
    monkeypatch.setattr("coreframe.tasks.index.job.index_video", None)
    again, _ = ingest([made_videos["closed_gop.mp4"]], tmp_path / "s", cluster)
    assert again.read_catalogue().videos == expected
