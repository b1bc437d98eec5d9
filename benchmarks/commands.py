"""What the benchmarks of whole commands share: how one is run and watched, and of which version."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

OURS = (sys.executable, "-m", "coreframe")
"""The command of this checkout."""


@dataclass
class Watched:
    """One run of a command."""

    seconds: float
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Resident memory of the largest process of each role."""
    cpu_s: dict[str, float] = field(default_factory=dict)
    """Processor time by role, as far as processes were seen: all but their last moments."""


def role(process: psutil.Process, root: psutil.Process) -> str:
    """What a process of a run is for."""
    line = process.cmdline()
    if not line:
        return ""  # it has ended, or begins
    if process == root:
        return "outer process"
    if line == root.cmdline():  # a fork of it, which does the work
        return "command"
    words = " ".join(line)
    if "uvicorn" in words or "temporary_server" in words:
        return "prefect server"
    if "spawn_main" in words:
        return "worker"
    parent = process.parent()
    if "forkserver" in words and parent is not None and parent.cmdline() == line:
        return "worker"
    return "helper"


def watch(
    command: Sequence[str], environment: Mapping[str, str] | None = None, every_s: float = 0.25
) -> Watched:
    """Run a command to its end.

    Args:
        command: its words.
        environment: of it, if not that of this process.
        every_s: how often its processes are looked at; 0 for never, which disturbs least.
    """
    peak: dict[str, int] = {}
    cpu: dict[psutil.Process, tuple[str, float]] = {}
    begin_s = time.perf_counter()
    root = psutil.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while every_s and root.poll() is None:
        for process in [psutil.Process(root.pid), *root.children(recursive=True)]:
            try:
                kind, resident = role(process, root), process.memory_info().rss
                times = process.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if kind:
                peak[kind] = max(peak.get(kind, 0), resident)
                cpu[process] = kind, times.user + times.system
        time.sleep(every_s)
    _, said = root.communicate()
    seconds = time.perf_counter() - begin_s
    if root.returncode:
        sys.exit(f"{' '.join(command)} ended with status {root.returncode}: {said}")
    used: dict[str, float] = {}
    for kind, of_one_s in cpu.values():
        used[kind] = used.get(kind, 0.0) + of_one_s
    return Watched(seconds, peak, used)


@contextmanager
def installed(revision: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The command of another revision of this repository, beside this environment's packages.

    Yields:
        The command's first words, and what its environment needs.
    """
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "source"), Path(name, "installed")
        source.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "--target", str(target), str(source)], check=True)
        yield [sys.executable, str(target / "bin" / "coreframe")], {"PYTHONPATH": str(target)}
