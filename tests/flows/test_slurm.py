"""Clusters that can or cannot be had: one sentence says why, within the limit.

SLURM's programs are stood in for by ones that start workers here, hang, refuse or die.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from dask.distributed import Client

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks.errors import CoreframeError, UsageError

if find_spec("dask_jobqueue") is None:
    pytest.skip("the extra `slurm` is not installed", allow_module_level=True)

pytestmark = pytest.mark.integration

CLUSTERS = Path(__file__).parents[2] / "deployments" / "clusters"

STARTS = """
    cp "$1" "$(dirname "$0")/job.sh"  # as sbatch does: who asked deletes it at once
    setsid bash "$(dirname "$0")/job.sh" > "$(dirname "$0")/worker.log" 2>&1 &
    echo $! > "$(dirname "$0")/pid"
    echo Submitted batch job 17
"""
REFUSES = "echo sbatch: error: invalid account vision >&2; exit 1"
HANGS = 'touch "$(dirname "$0")/asked"; sleep 600'
TAKES = "echo Submitted batch job 18"
CANCELS = """
    [ -f {folder}/pid ] && kill -- -$(cat {folder}/pid)
    echo "$@" >> {folder}/cancelled
"""
PENDING = "echo 'PENDING (Priority)'"
GONE = "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Give SLURM's programs these bodies, and say which file asks for a cluster."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("coreframe.flows.reach.LOOK_AT_JOBS_EVERY_S", 0.3)

    def write(sbatch: str, squeue: str = "echo 'RUNNING (None)'", **arguments: Any) -> str:
        cancel = CANCELS.format(folder=tmp_path)
        for name, body in (("sbatch", sbatch), ("squeue", squeue), ("scancel", cancel)):
            program = tmp_path / name
            program.write_text(f"#!/bin/bash\n{body}\n")
            program.chmod(0o755)
        described = yaml.safe_load((CLUSTERS / "slurm.yaml").read_text())
        described["workers"] = 1
        here = {"interface": "lo", "shared_temp_directory": str(tmp_path)}
        described["arguments"] |= here | {"log_directory": str(tmp_path)} | arguments
        (tmp_path / "slurm.yaml").write_text(yaml.safe_dump(described))
        return str(tmp_path / "slurm.yaml")

    yield write
    if (tmp_path / "pid").exists():
        end = time.monotonic() + 20
        while psutil.pid_exists(int((tmp_path / "pid").read_text())):
            assert time.monotonic() < end, "scancel did not end the job"
            time.sleep(0.1)


def refused(cluster: str, limit_s: float, kind: type[Exception] = CoreframeError) -> str:
    """The one sentence that says why there is no cluster, said in time."""
    before, children = time.monotonic(), psutil.Process().children()
    with (
        pytest.raises(kind) as told,
        open_cluster(Compute(cluster=cluster, cluster_timeout=limit_s)),
    ):
        pass
    assert time.monotonic() - before < limit_s + 15  # on a machine that has much to do
    left = [one for one in psutil.Process().children() if one not in children]
    assert not [one for one in left if "tracker" not in " ".join(one.cmdline())]
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_job_becomes_a_worker_that_nobody_else_can_use(
    slurm: Callable[..., str], tmp_path: Path
) -> None:
    with open_cluster(Compute(cluster=slurm(STARTS))) as address, Client(address) as client:
        assert address.startswith("tls://127.0.0.1")
        environment = client.submit(lambda: dict(os.environ)).result(timeout=60)
        assert environment["OMP_NUM_THREADS"] == "1"
        keys = [*tmp_path.glob(".dask-jobqueue*")]
        assert keys
        assert not [key for key in keys if key.stat().st_mode & 0o077]
    assert (tmp_path / "cancelled").read_text() == "17\n"
    assert not [*tmp_path.glob(".dask-jobqueue*")]


def test_whatever_keeps_a_cluster_from_starting_is_a_sentence(
    slurm: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "sbatch ended with status 1 and said sbatch: error: invalid account vision" in refused(
        slurm(REFUSES), 30
    )
    assert "sbatch answers, or wait longer with --cluster-timeout" in refused(slurm(HANGS), 1)
    waits = refused(slurm(TAKES, PENDING), 10)
    assert "within 10 s: of job 18, squeue says 1 PENDING (Priority)." in waits
    assert (tmp_path / "cancelled").read_text() == "18\n"
    for squeue in (GONE, "exit 0"):
        assert "job 18 ended before" in refused(slurm(TAKES, squeue), 30)
    assert "'ib7' is not a valid network interface" in refused(slurm(TAKES, interface="ib7"), 30)
    no_such = refused(slurm(TAKES, no_such_option=1), 30, UsageError)
    assert "dask_jobqueue.SLURMCluster, which cannot be made" in no_such
    asks = slurm(TAKES)
    (tmp_path / "sbatch").unlink()
    assert "runs sbatch, which is not on this machine" in refused(asks, 30)
    shown = capfd.readouterr()
    assert "Traceback" not in shown.out + shown.err


def test_ctrl_c_ends_the_wait_for_a_program_that_hangs(
    slurm: Callable[..., str], tmp_path: Path
) -> None:
    asks = slurm(HANGS)
    # a shell that starts pytest in the background lets it ignore the signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules.pop("dask_jobqueue.runner", None)  # importing it takes the signal
    sys.modules.pop("dask_jobqueue", None)
    stopped_s = []

    def stop_once_asked() -> None:
        while not (tmp_path / "asked").exists():
            time.sleep(0.1)
        stopped_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_once_asked, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), open_cluster(Compute(cluster=asks)):
        pass
    assert time.monotonic() - stopped_s[0] < 15
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert not [one for one in psutil.Process().children() if "sleep" in one.cmdline()]


@pytest.mark.parametrize("name", ["slurm.yaml", "slurm-gpu.yaml"])
def test_the_job_script_of_our_files_is_what_nodes_need(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scripts = []

    def ask(cluster: Any, _: object) -> None:
        scripts.append(cluster.job_script())
        raise RuntimeError("seen")

    monkeypatch.setattr("coreframe.flows.named_cluster._grow", ask)
    assert "seen" in refused(str(CLUSTERS / name), 60)
    (script,) = scripts
    gpu = "gpu" in name
    wanted = [
        "#!/",
        "#SBATCH -t 08:00:00",
        "--protocol tls://",
        "--tls-key ./.dask",
        "--death-timeout",
    ]
    wanted += ["export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False", "#SBATCH -A vision"]
    if gpu:
        wanted += ["#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=8", "#SBATCH -p gpu"]
        wanted += ["--nworkers 2", "--nthreads 4", "--memory-limit 14.90GiB"]
    else:
        wanted += ["#SBATCH -p normal", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G"]
        wanted += ["--nthreads 1"]
    wanted += ["-m distributed.cli.dask_worker tls://", "--nanny"]
    for text in wanted:
        assert text in script, script


@pytest.fixture
def listener() -> Iterator[Callable[[bytes | None], str]]:
    """A server that sends something to whoever connects, and then nothing: its address."""
    open_sockets = []

    def start(says: bytes | None) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        open_sockets.append(server)

        def serve() -> None:
            try:
                while True:
                    taken, _ = server.accept()
                    open_sockets.append(taken)
                    if says is not None:
                        taken.sendall(says)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for one in open_sockets:
        one.close()


def test_whatever_is_no_scheduler_is_a_sentence(
    listener: Callable[[bytes | None], str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.CRITICAL)
    nothing = socket.socket()
    nothing.bind(("127.0.0.1", 0))  # and does not listen
    port = nothing.getsockname()[1]
    answers = "no Dask scheduler answers at tcp://127.0.0.1:{} within 2 s"
    assert f"{answers.format(port)} ([Errno 111] Connection refused)" in refused(
        f"tcp://127.0.0.1:{port}", 2
    )
    nothing.close()
    for says in (None, b"220 mail.example.org ESMTP\r\n" * 9, b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        address = listener(says)
        assert answers.format(address.rpartition(":")[2]) in refused(address, 2)
    assert "no Dask scheduler answers at tcp://no-such-host.invalid:1" in refused(
        "tcp://no-such-host.invalid:1", 1
    )
    for wrong in ("http://127.0.0.1:8786/status", "tcp://127.0.0.1", "dask://127.0.0.1:8786"):
        assert f"{wrong} is no address of a Dask scheduler" in refused(wrong, 1, UsageError)
    assert "takes only who has its certificates" in refused("tls://127.0.0.1:1", 1, UsageError)
    shown = capfd.readouterr()
    assert "Traceback" not in shown.out + shown.err


def test_a_scheduler_without_workers_is_waited_for_within_the_limit() -> None:
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as empty:
        told = refused(empty.scheduler_address, 1)
        assert f"the Dask scheduler at {empty.scheduler_address} has no worker after 1 s" in told
