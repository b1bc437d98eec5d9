import asyncio
import gc
import logging
import os
import re
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import dask
import httpx
import numpy as np
import psutil
import pytest
import torch
import yaml
from dask.distributed import Client, Nanny, Security, Worker, WorkerPlugin

from coreframe.flows.cluster import open_cluster
from coreframe.flows.local_workers import LocalWorkers
from coreframe.flows.parameters import Compute
from coreframe.flows.reach import await_worker
from coreframe.flows.workers import encryption
from coreframe.tasks.engine.gpus import most_sharing
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.measure.task import _statistics
from tests.runs import content, ingest, workers_of

pytestmark = pytest.mark.integration

CLUSTERS = Path(__file__).parents[2] / "deployments" / "clusters"


def test_local_cluster_has_the_workers_asked_for() -> None:
    with (
        open_cluster(Compute(workers=3, device="cpu")) as cluster,
        Client(cluster) as client,
    ):
        assert len(client.nthreads()) == 3
        assert set(client.nthreads().values()) == {1}
        assert cluster.startswith("tls://127.0.0.1")


PAGES = (
    "/",
    "/sitemap.json",
    "/status",
    "/info/main/workers.html",
    "/json/counts.json",
    "/metrics",
)


def page(url: str) -> str | None:
    """What an HTTP server says there; None if it has no such page, or it is no such server."""
    try:
        answer = httpx.get(url, timeout=5, follow_redirects=True)
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None


def listening() -> set[tuple[str, int]]:
    """Addresses and ports at which this process and its children listen."""
    own = psutil.Process()
    found = [one for some in (own, *own.children(True)) for one in some.net_connections("tcp")]
    return {(one.laddr.ip, one.laddr.port) for one in found if one.status == "LISTEN"}


def test_nobody_else_can_use_a_local_cluster(capfd: pytest.CaptureFixture[str]) -> None:
    before = listening()
    with open_cluster(Compute(workers=1, device="cpu")) as cluster:
        for address, port in listening() - before:
            assert address == "127.0.0.1"
            said = [page(f"http://127.0.0.1:{port}{path}") for path in PAGES]
            assert {one for one in said if one} <= {'{"paths": ["/sitemap.json"]}'}
        stranger = encryption(Security.temporary())
        for scheduler, settings in ((cluster, stranger), (cluster.replace("tls", "tcp"), {})):
            with (
                dask.config.set(settings),
                pytest.raises(CoreframeError, match="no Dask scheduler answers at"),
            ):
                await_worker(scheduler, time.monotonic() + 0.5, 0.5)
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


def test_a_dashboard_is_found_only_by_who_knows_its_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "coreframe")
    with open_cluster(Compute(workers=1, device="cpu", dashboard=True)):
        (url,) = re.findall(r"Dask's dashboard: (\S+)", caplog.text)
        assert "Dask" in (page(url) or "")
        root, secret = url.removesuffix("/status").rsplit("/", 1)
        assert "dask_scheduler" in (page(f"{root}/{secret}/metrics") or "dask_scheduler")
        assert "tls://" in (page(f"{root}/{secret}/info/main/workers.html") or "")
        wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
        for path in (*PAGES, *(f"/{wrong}{one}" for one in PAGES), f"/{secret[:-1]}"):
            assert page(root + path) is None, path


@pytest.mark.parametrize("method", ["run", "forward_logging"])
def test_a_worker_that_dies_while_logs_are_arranged_ends_nothing(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ask all workers something; the first that cannot answer ends the call in an error."""
    call = getattr(Client, method)

    def dying(client: Client, *arguments: Any, **options: Any) -> Any:
        victim = workers_of(os.getpid())[0]
        victim.suspend()  # so that it has the question and no answer when it dies
        threading.Timer(0.5, victim.kill).start()
        return call(client, *arguments, **options)

    monkeypatch.setattr(Client, method, dying)
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:
        monkeypatch.undo()
        with Client(cluster) as client:
            assert client.submit(abs, -1).result(timeout=60) == 1


def test_garbage_of_before_is_not_searched_while_a_cluster_is_open() -> None:
    before = gc.get_freeze_count()
    with open_cluster(Compute(workers=1, device="cpu")):
        assert gc.get_freeze_count() > before + 10_000
    assert gc.get_freeze_count() == 0


def test_workers_that_do_not_close_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(nanny: Nanny, **options: Any) -> None:
        await asyncio.sleep(1000)

    monkeypatch.setattr("coreframe.flows.workers.CLOSE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(Nanny, "close", never)
    with open_cluster(Compute(workers=2, device="cpu")) as cluster, Client(cluster) as client:
        workers = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_workers_that_close_do_not_tell_of_a_closed_scheduler(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forks would write to where pytest's output went when their process was started.
    monkeypatch.setattr(LocalWorkers, "prepare", lambda _: False)

    class Loud(WorkerPlugin):
        def teardown(self, worker: Worker) -> None:
            logging.getLogger("distributed.worker").error("no scheduler any more")
            logging.getLogger("distributed.nanny").error("something else")

    with open_cluster(Compute(workers=2, device="cpu")) as cluster, Client(cluster) as client:
        client.register_plugin(Loud())
    said = capfd.readouterr().err
    assert said.count("something else") == 2
    assert "no scheduler" not in said


def test_what_all_workers_need_is_sent_without_a_warning() -> None:
    vectors = np.zeros((9000, 710), np.int16)
    vectors[:, 0] = 4000
    with (
        open_cluster(Compute(workers=1, device="cpu")) as cluster,
        Client(cluster) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        assert _statistics(client, vectors).summary()["l2_max"] == 0


def test_workers_leave_what_they_hold_where_it_is() -> None:
    """A worker that Dask pauses for its memory never goes on: what it holds is the selection."""

    def fractions(dask_worker: Worker) -> list[Any]:
        manager = dask_worker.memory_manager
        names = ("target_fraction", "spill_fraction", "pause_fraction")
        return [getattr(manager, f"memory_{name}") for name in names]

    compute = Compute(workers=1, device="cpu", memory_limit=2 * 10**9)
    with open_cluster(compute) as cluster, Client(cluster) as client:
        assert list(client.run(fractions).values()) == [[False] * 3]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
def test_workers_that_share_gpus_give_the_bytes_of_the_cpu(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    def device(dask_worker: Worker) -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    stores = {}
    for name in ("cpu", "cuda"):
        with open_cluster(Compute(device=name)) as cluster, Client(cluster) as client:
            if name == "cuda":
                asked, devices = LocalWorkers.of(Compute(device=name)), client.run(device)
                assert len(devices) == asked.count >= torch.cuda.device_count()
                assert len(set(devices.values())) == torch.cuda.device_count()
                assert set(client.nthreads().values()) == {asked.threads}
                assert most_sharing(client, name) * torch.cuda.device_count() == asked.count
            videos = [made_videos["closed_gop.mp4"], made_videos["prores.mov"]]
            stores[name], _ = ingest(videos, tmp_path / name, cluster, device=name)
    frames, vectors = content(stores["cuda"])
    assert np.array_equal(vectors, content(stores["cpu"])[1])
    assert len(frames) == 80


def test_existing_cluster_by_address_or_file(tmp_path: Path) -> None:
    with open_cluster(Compute(workers=1, device="cpu")) as local:
        file = tmp_path / "cluster.yaml"
        file.write_text(f"address: {local}\n")
        with open_cluster(Compute(cluster=str(file))) as named:
            assert named == local
        with open_cluster(Compute(cluster=local)) as named:
            assert named == local


def test_our_example_file_is_understood() -> None:
    compute = Compute(cluster=str(CLUSTERS / "address.yaml"), cluster_timeout=0.2)
    told = r"no Dask scheduler answers at tcp://127\.0\.0\.1:8786 within 0\.2 s"
    with pytest.raises(CoreframeError, match=told), open_cluster(compute):
        pass


def test_a_cluster_file_may_name_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # of a cluster that was here before
    file = tmp_path / "cluster.yaml"
    arguments = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    described = {"class": "dask.distributed.LocalCluster", "arguments": arguments, "workers": 2}
    file.write_text(yaml.safe_dump(described))
    with open_cluster(Compute(cluster=str(file))) as address, Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        found = client.run(lambda: os.environ["OMP_NUM_THREADS"])
        assert set(found.values()) == {"1"}
    described["class"] = "dask_jobqueue.NoSuchCluster"
    file.write_text(yaml.safe_dump(described))
    with (
        pytest.raises(UsageError, match=r"asks for dask_jobqueue.NoSuchCluster, which cannot"),
        open_cluster(Compute(cluster=str(file))),
    ):
        pass


def test_our_local_cluster_file_works() -> None:
    with (
        open_cluster(Compute(cluster=str(CLUSTERS / "local-cpu.yaml"))) as address,
        Client(address) as client,
    ):
        assert client.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("content", ["", "[1, 2", "name: x\n", None])
def test_useless_cluster_file_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    if content is not None:
        file.write_text(content)
    with (
        pytest.raises(UsageError, match=r"cluster\.yaml"),
        open_cluster(Compute(cluster=str(file))),
    ):
        pass


def test_workers_in_another_folder_find_the_store(
    made_videos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with open_cluster(Compute(workers=1, device="cpu")) as address:
        monkeypatch.chdir(tmp_path)
        _, counts = ingest([made_videos["closed_gop.mp4"]], Path("store"), address)
    assert counts.frames == 40
    assert (tmp_path / "store" / "catalogue.parquet").exists()
