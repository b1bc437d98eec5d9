"""Trials of interrupts: the command is stopped at some moment, then run again to its end."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from uuid import uuid4

import psutil

from tests.commands import coreframe, environment
from tests.runs import workers_of
from tests.videos import Recipe, make

VIDEOS = 3

COMMANDS = {
    "curate": "curate in --store store --out out --n-samples 12 --block-rows 64",
    "ingest": "ingest in --store store --block-rows 64 --workers 1",
    "select": "select --store store --out out --n-samples 9 --name kept --workers 1",
    "check": "check --store store --workers 1",
    "report": "report --store store --out out --workers 1",
    "export": "export --out out --to webdataset",
    "train": "train --store store --out model --input-size 32 --max-epochs 3 --workers 1",
}

FROM_VIDEOS = ("curate", "ingest")
"""Begin with nothing but videos; the others with what `curate` has made."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LIMIT_S = 10.0

EXPORT = list(COMMANDS).index("export")
"""It has no workers."""

SOON_S = 200.0
"""By when a command has begun what an interrupt waits for."""

WORK_S = 6.0
"""How long the work of these commands takes."""

GUESS_S = 40.0
"""How long a command takes undisturbed, until one was seen to be faster."""

MARK = "COREFRAME_TRIAL"
"""In the environment of the command and of all that it starts, to find what is left running."""

TIMED = {"run.json", "train.json", "report.html", "report.md", "lock.json", "loss.png"}
"""Files that say how long a run took or when it was, or hold something that does."""


@dataclass(frozen=True)
class Interrupt:
    """What is sent, to whom, how often and when."""

    command: str
    signal: signal.Signals
    target: str
    """``command``, ``group``, or ``terminal``: Ctrl-C, a terminal that is closed, or SIGTERM to
    the group that runs in it."""
    times: int
    pause_s: float
    """Between the first and the second."""
    moment: float
    """Share of the time that the command takes undisturbed, or its work."""
    at_work: bool
    """Whether it is a share of the time from when its workers have been started."""
    own_server: bool
    """Whether it starts a Prefect server for itself, or is told of one."""


@dataclass(frozen=True)
class Ended:
    """How an interrupted command ended."""

    status: int
    seconds: float
    """From the first signal."""
    said: str
    """On its error stream; in a terminal, on both."""
    sent: bool
    """Whether a signal was sent before it had ended."""


def of_seed(seed: int) -> Interrupt:
    """One of the interrupts; a third of them are in a terminal."""
    random = Random(seed)
    return Interrupt(
        list(COMMANDS)[seed % len(COMMANDS)],
        random.choice(SIGNALS),
        "terminal" if seed % 3 == 0 else random.choice(("command", "group")),
        random.choice((1, 1, 2)),
        random.uniform(0.0, 2.0),
        random.random(),
        seed % 7 != EXPORT and random.random() < 0.6,
        random.random() < 0.5,
    )


def make_videos(place: Path) -> Path:
    """A folder of small videos."""
    for number in range(VIDEOS):
        make(Recipe(f"in/{number}.mp4", frames=120, width=160, height=120), place)
    return place / "in"


def content(place: Path) -> dict[str, bytes]:
    """All that a command has written, but for what says when or how often.

    A kept selection gets a generation with every run that extends it, also by nothing: their
    numbers do not matter, nor into how many parts the distances are cut.
    """
    tops = [place / name for name in ("store", "out", "model")]
    files = [path for top in tops if top.exists() for path in top.rglob("*") if path.is_file()]
    return {
        re.sub(r"(selections/\w+)/\d+", r"\1", str(path.relative_to(place))): path.read_bytes()
        for path in files
        if path.name not in TIMED | {"selection.json"}
        and "runs" not in path.parts
        and not path.name.startswith("rows-")
    }


def interrupted(
    interrupt: Interrupt,
    place: Path,
    undisturbed_s: float,
    server: str | None = None,
    begun: Callable[[bytearray], bool] | None = None,
) -> Ended:
    """Run a command in a folder, and interrupt it.

    Args:
        interrupt: how.
        place: the folder, with what the command needs.
        undisturbed_s: how long it takes otherwise.
        server: a Prefect server; by default it starts one for itself.
        begun: says of what was said whether the moment has come; the interrupt's own is the
            latest then.
    """
    mark = uuid4().hex
    words = [str(Path(sys.executable).with_name("coreframe")), *COMMANDS[interrupt.command].split()]
    known = environment(place, server) | {MARK: mark}
    if interrupt.target == "terminal":
        pid, stream = pty.fork()
        if pid == 0:
            _default_signals()
            os.chdir(place)
            os.execve(words[0], words, known)
    else:
        with (place / "said").open("wb") as output:
            pid = subprocess.Popen(
                words,
                cwd=place,
                env=known,
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
                preexec_fn=_default_signals,
            ).pid
        stream = os.open(place / "said", os.O_RDONLY)
    said = bytearray()
    late = None
    if interrupt.at_work:
        late = _wait(pid, stream, said, 300, lambda _: bool(workers_of(pid)))
        undisturbed_s = WORK_S
    if late is None:
        late = _wait(pid, stream, said, max(0.1, interrupt.moment * undisturbed_s), begun)
    status, begin_s = late, time.monotonic()
    for number in range(interrupt.times):
        if status is None and number:
            status = _wait(pid, stream, said, interrupt.pause_s)
        if status is None:
            stream = _send(interrupt, pid, stream)
    status = _wait(pid, stream, said, 60) if status is None else status
    seconds = time.monotonic() - begin_s
    if stream >= 0:
        _read(stream, said)
        os.close(stream)
    assert status is not None, f"{interrupt}: still running after a minute"
    assert not _left(mark), f"{interrupt}: left running {_left(mark)}"
    return Ended(status, seconds, said.decode(errors="replace"), late is None)


def _default_signals() -> None:
    for one in SIGNALS:  # a shell that starts pytest in the background ignores SIGINT
        signal.signal(one, signal.SIG_DFL)


def _send(interrupt: Interrupt, pid: int, stream: int) -> int:
    """Give one signal; what is the stream from then on, -1 for none."""
    if interrupt.target == "terminal" and interrupt.signal == signal.SIGINT:
        os.write(stream, b"\x03")
    elif interrupt.target == "terminal" and interrupt.signal == signal.SIGHUP:
        if stream >= 0:
            os.close(stream)
        return -1
    else:
        with suppress(ProcessLookupError):
            (os.kill if interrupt.target == "command" else os.killpg)(pid, interrupt.signal)
    return stream


def _wait(
    pid: int,
    stream: int,
    said: bytearray,
    seconds: float,
    begun: Callable[[bytearray], bool] | None = None,
) -> int | None:
    """Read what is said until the command ends: its status, or None when it has not in time."""
    limit_s = time.monotonic() + seconds
    while True:
        if stream >= 0:
            _read(stream, said)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= limit_s or (begun is not None and begun(said)):
            return None
        time.sleep(0.01)


def _read(stream: int, said: bytearray) -> None:
    with suppress(OSError):  # of a terminal, when all have closed it
        while select.select([stream], [], [], 0)[0]:
            some = os.read(stream, 65536)
            if not some:
                return
            said += some


def _left(mark: str) -> list[str]:
    """What still runs of a command, a moment after its end."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(" ".join(process.cmdline()))
    return found


class Trials:
    """What the trials of one session share: inputs, and what undisturbed commands give.

    All run in one folder, one after the other: stores and outputs name absolute paths.
    """

    def __init__(self, place: Path, server: str) -> None:
        self._place = place
        self._server = server
        self.work = place / "work"
        self._expected: dict[str, dict[str, bytes]] = {}
        self._seconds: dict[tuple[str, bool], float] = {}
        make_videos(place / "videos")

    def prepare(self, command: str) -> None:
        """Put into the folder what a command needs."""
        made = self._place / "made"
        if command not in FROM_VIDEOS and not made.exists():
            self._fill(self._place / "videos")
            again("curate", self.work, self._server)
            shutil.copytree(self.work, made)
        self._fill(self._place / "videos" if command in FROM_VIDEOS else made)

    def _fill(self, source: Path) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(source, self.work)

    def expected(self, command: str) -> dict[str, bytes]:
        """What it writes undisturbed."""
        if command not in self._expected:
            self.prepare(command)
            again(command, self.work, self._server)
            self._expected[command] = content(self.work)
        return self._expected[command]

    def try_seed(self, seed: int) -> Ended:
        """Interrupt a command, run it again, and compare."""
        interrupt = of_seed(seed)
        expected = self.expected(interrupt.command)
        server = None if interrupt.own_server else self._server
        kind = interrupt.command, interrupt.own_server
        while True:
            self.prepare(interrupt.command)
            begin_s = time.monotonic()
            ended = interrupted(interrupt, self.work, self._seconds.get(kind, GUESS_S), server)
            if ended.sent:
                break
            if interrupt.at_work:
                interrupt = replace(interrupt, moment=interrupt.moment / 2)
                continue
            self._seconds[kind] = time.monotonic() - begin_s  # it was faster: now that is known
        check_end(interrupt, ended)
        again(interrupt.command, self.work, self._server)
        changed = difference(expected, content(self.work))
        assert not changed, f"{interrupt}: {changed} are not as without it"
        return ended


def again(command: str, place: Path, server: str) -> None:
    """Run a command to its end."""
    ended = coreframe(*COMMANDS[command].split(), cwd=place, server=server)
    assert ended.returncode == 0, ended.stderr


def check_end(interrupt: Interrupt, ended: Ended) -> None:
    """It ended as every interrupted command does; one that was faster, as it does undisturbed."""
    assert "Traceback" not in ended.said, ended.said
    if ended.status == 0 and ended.seconds < 0.5:
        return
    assert ended.status == 128 + interrupt.signal, (ended, interrupt)
    assert ended.seconds < LIMIT_S, (ended, interrupt)
    if interrupt.target == "terminal" and interrupt.signal == signal.SIGHUP:
        return  # nobody is there to be told
    assert ended.said.count("coreframe: stopped; ") == 1, (ended, interrupt)
    if interrupt.target != "terminal":
        assert ended.said.count("\n") == 1, ended.said


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Names of files that are not the same."""
    return sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
