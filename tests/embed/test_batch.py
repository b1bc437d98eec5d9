"""How many frames are embedded at once: measured on a GPU, which is pretended, and then kept."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coreframe.flows.parameters import Compute, Ingestion
from coreframe.tasks.embed import batch, task
from coreframe.tasks.embed.batch import BatchJob, fastest, settled_batch
from coreframe.tasks.embedders.embedder import EmbedderSpec
from coreframe.tasks.store.batches import NAME, read_batches, settle_batch
from coreframe.tasks.store.store import Store
from tests.runs import ingest
from tests.stores import make_store, walks

SPEC = EmbedderSpec("hf:model", batch_size=64, batch_asked=False, processes=16)


@pytest.mark.parametrize(
    ("frames_per_s", "expected"),
    [
        ({32: 1000, 64: 2000, 128: 3000, 256: 4000}, 256),
        ({32: 1000, 64: 2000, 128: 2010, 256: 2050}, 64),
        ({32: 1000, 64: 1000, 128: 900, 256: 500}, 32),
        ({32: 400, 64: 500, 128: 500}, 64),  # that of 128 takes a fourth of a second: no larger one
    ],
)
def test_the_smallest_batch_that_is_as_fast_as_any(
    frames_per_s: Mapping[int, float], expected: int
) -> None:
    assert fastest(lambda size: size / frames_per_s[size]) == expected


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", walks(8, 4, seed=0), [8])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes that were measured, on what says it is a GPU."""
    sizes: list[int] = []

    def seconds(spec: EmbedderSpec) -> float:
        sizes.append(spec.batch_size)
        return 0.01

    monkeypatch.setattr(batch, "resolve_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(batch, "gpu_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(batch, "_seconds", seconds)
    return sizes


def test_it_is_measured_once_for_a_store_and_a_kind_of_gpu(
    store: Store, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settled_batch(BatchJob(store.path, SPEC)) == 256
    assert measured == [32, 64, 128, 256]
    settle_batch(store, "NVIDIA H200, 16 processes", 128)
    assert settled_batch(BatchJob(store.path, SPEC)) == 128
    assert len(measured) == 4
    assert settled_batch(BatchJob(store.path, replace(SPEC, processes=1))) == 256
    monkeypatch.setattr(batch, "gpu_name", lambda: "NVIDIA L4")
    assert settled_batch(BatchJob(store.path, SPEC)) == 256
    assert len(measured) == 12
    assert read_batches(store) == {
        "NVIDIA H200, 16 processes": 128,
        "NVIDIA H200, 1 processes": 256,
        "NVIDIA L4, 16 processes": 256,
    }


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"settled": {"NVIDIA H200": null}}'])
def test_what_is_damaged_is_measured_anew(
    content: bytes, store: Store, measured: list[int]
) -> None:
    Path(store.path, NAME).write_bytes(content)
    assert settled_batch(BatchJob(store.path, SPEC)) == 256
    assert read_batches(store) == {"NVIDIA H200, 16 processes": 256}


def test_on_a_cpu_nothing_is_measured_or_kept(store: Store) -> None:
    for size in (64, 7):
        asked = replace(SPEC, batch_size=size)
        assert settled_batch(BatchJob(store.path, asked)) == size
    assert not Path(store.path, NAME).exists()


def test_a_batch_takes_time() -> None:
    assert 0 < batch._seconds(EmbedderSpec(device="cpu", batch_size=4)) < 10


@pytest.mark.parametrize(
    ("name", "device", "given", "expected"),
    [
        ("hf:model", "auto", None, 5),
        ("hf:model", "auto", 7, 7),
        ("hf:model", "cpu", None, 64),
        ("descriptor-3", "auto", None, 64),
    ],
)
def test_all_workers_are_told_what_one_measured(
    name: str,
    device: str,
    given: int | None,
    expected: int,
    made_videos: dict[str, Path],
    tmp_path: Path,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Seen(task._Embedding):
        def embed(self, videos: object) -> list[int]:
            seen.append(self.empty_part.embedder)
            return []

    seen: list[EmbedderSpec] = []
    monkeypatch.setattr(task, "_Embedding", Seen)
    monkeypatch.setattr(task, "settled_batch", lambda job: 5 if job.embedder.network else 6)
    store, _ = ingest([made_videos["one_frame.mp4"]], tmp_path / "store", cluster)
    spec = Compute(device=device).embedder(Ingestion(embedder=name, batch_size=given))
    task.embed_frames(store, Ingestion().sampling(), spec, cluster)
    assert [one.batch_size for one in seen] == [64, expected]


def test_batches_are_of_what_decoders_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def embedded(_embedder: object, images: list[np.ndarray], _device: object) -> None:
        shapes.append(np.shape(images))

    monkeypatch.setattr(batch, "embed_images", embedded)
    batch._seconds(EmbedderSpec(device="cpu", batch_size=4, input_px=96))
    assert shapes == [(4, 96, 96, 3)] * 4
