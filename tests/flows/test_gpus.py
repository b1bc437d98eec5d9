"""Workers that share GPUs, pretended: they compute on the CPU, and say they do on a GPU."""

import inspect
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest
import torch
from dask.distributed import Client, Nanny, Worker, wait

from coreframe.flows import gpu_worker
from coreframe.flows.cluster import open_cluster
from coreframe.flows.gpus import Gpu, cores_beside
from coreframe.flows.local_workers import LocalWorkers
from coreframe.flows.parameters import Compute
from coreframe.tasks.device import limit_gpu_memory, offer_gpu
from coreframe.tasks.embedders import embedder
from coreframe.tasks.embedders.embedder import EmbedderSpec, embed_images, load_embedder
from coreframe.tasks.engine.gpus import most_sharing, sharing
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from tests.runs import bytes_of, ingest
from tests.stores import make_store, walks

pytestmark = pytest.mark.integration

GB = 2**30


def gpus(*names: str, memory_bytes: int = 80 * GB) -> tuple[Gpu, ...]:
    return tuple(Gpu(name, f"uuid-{name}", memory_bytes) for name in names)


def workers_with(
    monkeypatch: pytest.MonkeyPatch, cores: int, *found: Gpu, **compute: Any
) -> LocalWorkers:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("coreframe.flows.local_workers.gpus_here", lambda: found)
    return LocalWorkers.of(Compute(**compute))


@pytest.mark.parametrize(
    ("cores", "found", "count", "threads"),
    [
        (16, gpus("0", memory_bytes=140 * GB), 4, 4),
        (64, gpus("0", memory_bytes=140 * GB), 16, 4),
        (64, gpus("0", memory_bytes=8 * GB), 4, 16),
        (16, gpus("0", memory_bytes=1 * GB), 1, 16),
        (16, gpus("0", "1", "2"), 6, 3),
        (32, gpus("0", memory_bytes=4 * GB) + gpus("1"), 4, 8),
        (2, gpus("0"), 1, 2),
        (2, gpus("0", "1", "2", "3"), 4, 1),
    ],
)
def test_workers_are_as_many_as_cores_and_memory_allow(
    cores: int,
    found: tuple[Gpu, ...],
    count: int,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert workers_with(monkeypatch, cores, *found) == LocalWorkers(count, threads, found)


def test_workers_are_as_many_as_a_person_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    two = gpus("0", "1")
    assert workers_with(monkeypatch, 16, *two, workers=5) == LocalWorkers(5, 4, two)
    assert workers_with(monkeypatch, 16, *two, workers=1) == LocalWorkers(1, 16, two[:1])
    assert workers_with(monkeypatch, 16, *two, device="cpu") == LocalWorkers(16, 1)


def pretended_nvml(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """NVML, whose handle of a GPU is the last part of its UUID."""

    def handle(uuid: bytes) -> str:
        return uuid.decode().removeprefix("GPU-uuid-")

    known = {"nvmlInit": lambda: None, "nvmlDeviceGetHandleByUUID": handle, "NVMLError": KeyError}
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**known, **answers))


def test_a_gpu_that_takes_one_process_gets_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = {"0": 0, "1": 3}  # NVML_COMPUTEMODE_EXCLUSIVE_PROCESS
    pretended_nvml(monkeypatch, nvmlDeviceGetComputeMode=modes.__getitem__)
    assert workers_with(monkeypatch, 8, *gpus("0")).count == 2
    assert workers_with(monkeypatch, 8, *gpus("1")) == LocalWorkers(1, 8, gpus("1"))
    assert workers_with(monkeypatch, 8, *gpus("unknown")).count == 2
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert workers_with(monkeypatch, 8, *gpus("1")).count == 2


def test_gpus_have_the_names_by_which_this_process_sees_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coreframe.flows.gpus.has_gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert LocalWorkers.of(Compute(workers=2)).gpus == ()  # as with a driver that is too old
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda number: SimpleNamespace(uuid=f"uuid {number}", total_memory=8 * GB + number),
    )
    for visible, names in ((None, ["0", "1"]), ("3, GPU-5a,-1", ["3", "GPU-5a"])):
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found = LocalWorkers.of(Compute(workers=2)).gpus
        assert [gpu.name for gpu in found] == names
        assert [gpu.uuid for gpu in found] == ["uuid 0", "uuid 1"]
        assert [gpu.memory_bytes for gpu in found] == [8 * GB, 8 * GB + 1]


@pytest.mark.parametrize(
    ("near", "own", "expected"),
    [
        ([{0, 1}, {2, 3}], {0, 1, 2, 3}, [{0, 1}, {2, 3}]),
        ([{0, 1, 64}, {2, 65}], {0, 1, 2}, [{0, 1}, {2}]),
        ([{0, 1, 70}, {2, 70}], {0, 2, 70}, [{0, 70}, {2, 70}]),
        ([{0, 1}, {0, 1}], {0, 1, 2, 3}, []),  # the others would have no work
        ([{0, 1}, {0, 1}], {0, 1}, []),
        ([None, {2, 3}], {0, 1, 2, 3}, [{0, 1, 2, 3}, {2, 3}]),  # one of which nothing is known
    ],
)
def test_cores_beside_a_gpu(
    near: list[set[int] | None],
    own: set[int],
    expected: list[set[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def affinity(gpu: str, words: int) -> list[int]:
        cores = near[int(gpu)]
        if cores is None:
            raise KeyError
        bits = sum(1 << core for core in cores)
        return [bits >> (64 * place) & (2**64 - 1) for place in range(words)]

    pretended_nvml(monkeypatch, nvmlDeviceGetCpuAffinity=affinity)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: own)
    assert cores_beside(gpus("0", "1")) == expected


@pytest.fixture
def two_gpus(forked: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine has two GPUs, as far as its workers say."""
    monkeypatch.setattr("coreframe.flows.local_workers.gpus_here", lambda: gpus("0", "1"))
    with dask.config.set({"distributed.worker.preload": ["tests.pretended"]}):
        yield


def seen(dask_worker: Worker) -> tuple[int, str, int, set[int]]:
    device = os.environ["CUDA_VISIBLE_DEVICES"]
    return dask_worker.name, device, dask_worker.state.nthreads, os.sched_getaffinity(0)


def shares_of_memory() -> tuple[set[float], set[float]]:
    from tests import pretended

    return set(pretended.embedding), set(pretended.selecting)


@pytest.mark.usefixtures("two_gpus")
def test_workers_have_the_gpus_in_turn_and_the_cores_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core, *_ = os.sched_getaffinity(0)
    near = [frozenset({core}), frozenset(os.sched_getaffinity(0))]
    monkeypatch.setattr(gpu_worker, "cores_beside", lambda _: near)
    with open_cluster(Compute(workers=3)) as cluster, Client(cluster) as client:
        found = sorted(client.run(seen).values())
        assert [(name, device) for name, device, *_ in found] == [(0, "0"), (1, "1"), (2, "0")]
        assert [cores for *_, cores in found] == [near[0], near[1], near[0]]
        names = {worker: one[1] for worker, one in client.run(seen).items()}
        places = sharing(client, "auto")
        assert sorted([names[worker] for worker in place] for place in places) == [
            ["0", "0"],
            ["1"],
        ]
        assert most_sharing(client, "auto") == 2
        assert sharing(client, "cpu") == [[worker] for worker in sorted(names)]
        assert most_sharing(client, "cpu") == 1


@pytest.mark.parametrize("beside", [[], [frozenset({0}), frozenset({1})]])
def test_dask_cuda_starts_several_workers_a_gpu(
    beside: list[frozenset[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it says what to start: it starts nothing without a GPU."""
    local_cuda = pytest.importorskip("dask_cuda.local_cuda_cluster")
    affinity = pytest.importorskip("dask_cuda.plugins").CPUAffinity
    monkeypatch.setattr(pytest.importorskip("pynvml"), "nvmlInit", lambda: None)
    monkeypatch.setattr(gpu_worker, "cores_beside", lambda _: beside)
    monkeypatch.setattr(local_cuda, "nvml_device_index", lambda place, visible: int(visible))
    monkeypatch.setattr(
        local_cuda, "worker_plugins", lambda device_index, **_: {affinity([device_index])}
    )
    kind = gpu_worker.shared_cuda_cluster(gpus("2", "3"))
    cluster = object.__new__(kind)
    names = inspect.signature(kind.__init__).parameters
    vars(cluster).update(dict.fromkeys(names), cuda_visible_devices=[2, 3], worker_spec={})
    vars(cluster).update(new_spec={"cls": Nanny, "options": {"nthreads": 4}})
    for _ in range(5):
        cluster.worker_spec.update(cluster.new_worker_spec())
    found = {name: spec["options"] for name, spec in cluster.worker_spec.items()}
    devices = {name: one["env"]["CUDA_VISIBLE_DEVICES"] for name, one in found.items()}
    assert devices == {"2-0": "2", "3-0": "3", "2-1": "2", "3-1": "3", "2-2": "2"}
    assert all(one["nthreads"] == 4 for one in found.values())
    cores = [[plugin.cores for plugin in one["plugins"]] for one in found.values()]
    assert cores == [[[int(device)]] if beside else [] for device in devices.values()]
    assert cluster.cuda_visible_devices == [2, 3]
    del cluster.worker_spec["3-0"]
    assert list(cluster.new_worker_spec()) == ["3-0"]


@pytest.mark.usefixtures("two_gpus")
def test_one_worker_a_gpu_selects_and_the_store_and_picks_are_those_of_one_worker(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    videos = [made_videos[name] for name in ("closed_gop.mp4", "prores.mov", "high_444.mp4")]
    store = make_store(tmp_path / "made", walks(900, 16, seed=3), [300, 600])
    choice = Choice(budget=Budget(40))
    with open_cluster(Compute(workers=1, device="cpu")) as cluster:
        ingest(videos, tmp_path / "one", cluster, block_rows=32)
        expected = choose_frames(store, choice, "cpu", cluster)
    with open_cluster(Compute(workers=4)) as cluster, Client(cluster) as client:
        ingest(videos, tmp_path / "shared", cluster, device="auto", block_rows=32)
        chosen = choose_frames(store, choice, "auto", cluster)
        parts = DaskPartitions(client, store, np.arange(900), device="auto")
        device_of = {worker: found[1] for worker, found in client.run(seen).items()}
        for center in (0, 1, 2):
            parts.assign(np.array([center]), store.read_rows(np.array([center])))
            wait(parts._parts)
            held = [client.who_has(one)[one.key] for one in parts._parts]
            assert sorted(device_of[worker] for (worker,) in held) == ["0", "1"]
        shares = client.run(shares_of_memory).values()
        assert {share for own, _ in shares for share in own} == {0.75 / 2}
        assert sum(own == {1.0} for _, own in shares) == 2
    assert chosen.chosen.tolist() == expected.chosen.tolist()
    one, shared = (bytes_of(tmp_path / name / "embeddings.zarr") for name in ("one", "shared"))
    assert {path.name: held for path, held in one.items()} == {
        path.name: held for path, held in shared.items()
    }


@pytest.mark.usefixtures("two_gpus")
def test_a_selection_outlives_the_worker_that_had_the_gpu(tmp_path: Path) -> None:
    store = make_store(tmp_path / "made", walks(900, 16, seed=3), [300, 600])
    with open_cluster(Compute(workers=4)) as cluster, Client(cluster) as client:
        parts = DaskPartitions(client, store, np.arange(900), device="auto")
        wait(parts._parts)
        (holder,) = client.who_has(parts._parts[0])[parts._parts[0].key]
        os.kill(client.run(os.getpid)[holder], signal.SIGKILL)
        center = store.read_rows(np.array([7]))
        parts.assign(np.array([7]), center)
        wait(parts._parts, timeout=60)
        found = np.concatenate([part.distance.numpy() for part in client.gather(parts._parts)])
    apart = store.read_rows(np.arange(900)).astype(int) - center
    assert found.tolist() == (apart**2).sum(axis=1).tolist()


def test_a_gpu_is_offered_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr("coreframe.tasks.device.has_gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"u{number}")
    )
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", calls.append)
    assert offer_gpu("cpu") is None
    assert calls == []
    assert offer_gpu("auto") == offer_gpu("cuda") == "u0"
    limit_gpu_memory(torch.device("cpu"), 0.5)
    limit_gpu_memory(torch.device("cuda"), 0.25)
    assert calls == ["empty", "empty", 0.25]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert offer_gpu("auto") is None


def test_memory_is_shared_and_where_it_does_not_suffice_no_video_is_at_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model = SimpleNamespace(embed=full, fingerprint="hf-0")
    with pytest.raises(CoreframeError, match=r"too little memory .* hf-0: let fewer .*--workers"):
        embed_images(model, [np.zeros((8, 8, 3), np.uint8)], torch.device("cpu"))
    shares: list[float] = []
    monkeypatch.setattr(embedder, "limit_gpu_memory", lambda _, share: shares.append(share))
    load_embedder(EmbedderSpec(device="cpu"))
    load_embedder(EmbedderSpec(device="cpu", processes=3))
    assert shares == [1.0, 0.25]
    spec = EmbedderSpec("hf:large", device="cpu", processes=16)
    monkeypatch.setattr(embedder, "_make_embedder", full)
    with pytest.raises(CoreframeError, match="for the embedder hf:large, with 16 on it: let fewer"):
        load_embedder(spec)
