"""The outer process of the command: signals, exit statuses, and what is left running: nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from coreframe.flows.cli import PREFECT_AND_DASK

pytestmark = pytest.mark.integration

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAID = "coreframe: stopped; run it again to continue.\n"


def start(
    place: Path, work: str, *words: str, grace_s: float = 60, ignored: tuple[int, ...] = ()
) -> "subprocess.Popen[str]":
    """Start what the command starts, with other work; it writes its process number into `pid`."""
    code = f"""
import os, signal, subprocess, sys, time
from pathlib import Path
from coreframe.flows import supervisor
supervisor.GRACE_S = {grace_s}
supervisor.supervise()
def begun():
    Path("part").write_text(str(os.getpid()))
    Path("part").rename("pid")
def other(code):
    return subprocess.Popen([sys.executable, "-c", code])
with supervisor.ending():
    {work.strip().replace(chr(10), chr(10) + "    ")}
"""

    def set_signals() -> None:
        for one in SIGNALS:  # a shell that starts pytest in the background ignores SIGINT
            signal.signal(one, signal.SIG_IGN if one in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=set_signals,
    )


def wait_for(path: Path) -> None:
    limit_s = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < limit_s
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends(place: Path, started: "subprocess.Popen[str]") -> tuple[int, str]:
    """How it ends, well before its grace does: its status and its error stream; all have ended."""
    _, said = started.communicate(timeout=30)
    assert not alive(int((place / "pid").read_text()))
    assert not (place / "other").exists() or not alive(int((place / "other").read_text()))
    return started.returncode, said


ORDERLY = """
begun()
try:
    time.sleep(60)
finally:
    Path("closed").touch()
    print("Traceback", file=sys.stderr)
"""

WITH_OTHERS = """
process = other("import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)")
Path("other").write_text(str(process.pid))
begun()
time.sleep(60)
"""

DEAF = """
begun()
while True:
    try:
        time.sleep(60)
    except BaseException:
        Path("deaf").touch()
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("group", [False, True], ids=["command", "group"])
def test_a_signal_ends_it_in_order(number: signal.Signals, group: bool, tmp_path: Path) -> None:
    started = start(tmp_path, ORDERLY)
    wait_for(tmp_path / "pid")
    (os.killpg if group else os.kill)(started.pid, number)
    status, said = ends(tmp_path, started)
    assert (status, said) == (128 + number, SAID)
    assert (tmp_path / "closed").exists()


def test_nothing_is_left_running(tmp_path: Path) -> None:
    started = start(tmp_path, WITH_OTHERS)
    wait_for(tmp_path / "pid")
    os.killpg(started.pid, signal.SIGINT)
    assert ends(tmp_path, started) == (130, SAID)


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    started = start(tmp_path, DEAF, grace_s=1)
    wait_for(tmp_path / "pid")
    os.kill(started.pid, signal.SIGTERM)
    begin_s = time.monotonic()
    assert ends(tmp_path, started) == (143, SAID)
    assert (tmp_path / "deaf").exists()
    assert time.monotonic() - begin_s > 0.9  # its grace


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    started = start(tmp_path, DEAF)
    wait_for(tmp_path / "pid")
    child = int((tmp_path / "pid").read_text())
    os.kill(started.pid, signal.SIGINT)
    os.kill(started.pid, signal.SIGINT)  # the same, to the process and to its group
    time.sleep(0.6)
    assert alive(child)
    os.kill(started.pid, signal.SIGINT)
    status, said = ends(tmp_path, started)
    assert (status, said) == (130, SAID)


def test_the_child_alone_may_be_stopped(tmp_path: Path) -> None:
    """A store's lease names it, and so does whoever finds the store taken."""
    for work in (ORDERLY, DEAF):
        started = start(tmp_path, work)
        wait_for(tmp_path / "pid")
        child = int((tmp_path / "pid").read_text())
        os.kill(child, signal.SIGTERM)
        if work is DEAF:
            wait_for(tmp_path / "deaf")
            os.kill(child, signal.SIGKILL)
            status, said = ends(tmp_path, started)
            assert status == 137
            assert "ended by signal 9 (Killed): was memory free?" in said
        else:
            assert ends(tmp_path, started) == (143, SAID)
        (tmp_path / "pid").unlink()


def test_killed_it_takes_all_along(tmp_path: Path) -> None:
    started = start(tmp_path, WITH_OTHERS)
    wait_for(tmp_path / "pid")
    started.kill()
    started.communicate()
    children = [int((tmp_path / name).read_text()) for name in ("pid", "other")]
    limit_s = time.monotonic() + 10
    while any(map(alive, children)):
        assert time.monotonic() < limit_s
        time.sleep(0.01)


FOLDER = """
import tempfile
folder = Path(tempfile.gettempdir())
Path("folder").write_text(str(folder))
assert supervisor.temporary_place() == str(folder.parent)
Path(tempfile.mkdtemp(), "file").touch()
begun()
time.sleep(60)
"""


@pytest.mark.parametrize("killed", ["command", "child", "stopped"])
def test_no_folder_is_left_behind(killed: str, tmp_path: Path) -> None:
    started = start(tmp_path, FOLDER)
    wait_for(tmp_path / "pid")
    folder = Path((tmp_path / "folder").read_text())
    assert [*folder.glob("*/file")]
    assert folder.stat().st_mode & 0o077 == 0
    if killed == "child":
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    else:
        started.send_signal(signal.SIGKILL if killed == "command" else signal.SIGTERM)
    started.communicate(timeout=30)
    limit_s = time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < limit_s
        time.sleep(0.01)


def test_an_exit_status_and_the_streams_are_the_childs(tmp_path: Path) -> None:
    work = """
process = other("import time; time.sleep(60)")
Path("other").write_text(str(process.pid))
begun()
print("out")
print("error", file=sys.stderr)
sys.exit(3)
"""
    started = start(tmp_path, work)
    out, error = started.communicate(timeout=30)
    assert (started.returncode, out, error) == (3, "out\n", "error\n")
    assert not alive(int((tmp_path / "other").read_text()))


@pytest.mark.parametrize(
    ("last", "status"), [("sys.exit(5)", 5), ("raise ValueError", 1), ("pass", 0)]
)
def test_nothing_is_taken_apart_in_the_end(last: str, status: int, tmp_path: Path) -> None:
    """What libraries register is done; what their globals do when they go is not."""
    work = f"""
class Aborts:
    def __del__(self):
        os.abort()
sys.modules["kept"] = Aborts()
import atexit
atexit.register(lambda: print("closed"))
print("out", end=" ")
begun()
{last}
"""
    started = start(tmp_path, work)
    out, error = started.communicate(timeout=30)
    assert (started.returncode, out) == (status, "out closed\n")
    assert ("ValueError" in error) == (status == 1)


def test_what_a_thread_sees_ends_it(tmp_path: Path) -> None:
    work = """
import threading
begun()
threading.Thread(target=supervisor.fail, args=("the server is gone",)).start()
time.sleep(60)
"""
    started = start(tmp_path, work)
    wait_for(tmp_path / "pid")
    status, said = ends(tmp_path, started)
    assert (status, said) == (1, "coreframe: the server is gone.\n")


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    started = start(tmp_path, ORDERLY, ignored=(signal.SIGHUP,))  # as nohup does
    wait_for(tmp_path / "pid")
    os.kill(started.pid, signal.SIGHUP)
    time.sleep(0.2)
    assert started.poll() is None
    os.kill(started.pid, signal.SIGTERM)
    assert ends(tmp_path, started) == (143, SAID)


def test_ctrl_z_stops_all_and_fg_goes_on(tmp_path: Path) -> None:
    started = start(tmp_path, ORDERLY)
    wait_for(tmp_path / "pid")
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    os.kill(started.pid, signal.SIGTSTP)
    limit_s = time.monotonic() + 10
    while {child.status(), psutil.Process(started.pid).status()} != {psutil.STATUS_STOPPED}:
        assert time.monotonic() < limit_s
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGCONT)
    while child.status() == psutil.STATUS_STOPPED:
        assert time.monotonic() < limit_s
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    assert ends(tmp_path, started) == (130, SAID)


def test_of_training_the_checkpoint_is_named(tmp_path: Path) -> None:
    started = start(tmp_path, ORDERLY, "--log-json", "train", "--store", "s")
    wait_for(tmp_path / "pid")
    os.kill(started.pid, signal.SIGINT)
    status, said = ends(tmp_path, started)
    assert status == 130
    assert "the checkpoint of the last whole epoch is kept" in said


@pytest.mark.parametrize("quiet", [True, False])
def test_what_is_left_to_the_tracker_is_removed_without_a_word(quiet: bool) -> None:
    code = """
import multiprocessing, os
left = multiprocessing.get_context("spawn").Semaphore()
os._exit(0)
"""
    known = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=known | (PREFECT_AND_DASK if quiet else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("leaked semaphore" in ended.stderr) is not quiet
