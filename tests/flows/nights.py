"""Trials of a store that grows night by night, of any length: `make test` runs short ones."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from dask.distributed import Client

from coreframe.tasks.store.store import Store
from tests.night import night
from tests.runs import content, workers_of

ROOT = Path(__file__).parents[2]
NAMES = [f"clip-{number:02d}" for number in range(60)]
N_SAMPLES = 30


def written(store: Path) -> dict[str, bytes]:
    """What must not depend on interruptions: catalogue, indexes, frames, embeddings, selection."""
    return {
        re.sub(r"nightly/\d+", "nightly", str(path.relative_to(store))): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
        and path.name not in ("lock.json", ".guard", "catalogue-earlier.parquet", "selection.json")
        and not path.name.endswith(".tmp")
        and "rows-" not in path.name  # one a worker, however many there are
    }


def full_blocks(store: Path) -> dict[str, tuple[int, int]]:
    if not (store / "frames").is_dir():
        return {}
    found = {}
    for path in (store / "frames").glob("block-*.parquet"):
        stat = path.stat()
        found[path.name] = (stat.st_ino, stat.st_mtime_ns)
    return found


def killed_at_moments(
    videos: Path, folder: Path, cluster: str, *, kills: int, least: int, seed: int
) -> None:
    """Kill whole runs and workers of runs at random moments; all end like one left alone.

    Args:
        videos: the corpus.
        folder: where the stores are made.
        cluster: of the run that is left alone, and of those that complete a killed one.
        kills: how often something is killed, at least.
        least: how often each of the two is, at least.
        seed: of the moments.
    """
    picks = night(videos, folder / "alone", N_SAMPLES, cluster)
    expected = written(folder / "alone")
    rng = random.Random(seed)
    command = [sys.executable, "-m", "tests.night", str(videos), "", str(N_SAMPLES)]
    killed = {"flow": 0, "worker": 0}
    runs, log = 0, folder / "night.log"

    def enough() -> bool:
        return sum(killed.values()) >= kills and min(killed.values()) >= least

    while not enough():
        store = folder / f"store-{runs}"
        command[-2] = str(store)
        seen: dict[str, tuple[int, int]] = {}
        for _ in range(5):
            if enough():
                break
            with log.open("w") as errors:
                process = subprocess.Popen(command, cwd=ROOT, stderr=errors)
            moment = time.monotonic() + rng.uniform(1.5, 7)
            worker_dies = rng.random() < 0.4
            while process.poll() is None and (
                time.monotonic() < moment or (worker_dies and not workers_of(process.pid))
            ):
                time.sleep(0.01)
            if process.poll() is not None:
                break
            workers = workers_of(process.pid)
            if worker_dies and workers:
                with suppress(psutil.NoSuchProcess):
                    rng.choice(workers).send_signal(signal.SIGKILL)
                killed["worker"] += 1
                assert process.wait(120) == 0, log.read_text()
                break
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed["flow"] += 1
            for worker in workers:  # they end by themselves, some moments later
                worker.wait(60)
            now = full_blocks(store)
            assert seen.items() <= now.items()  # what was committed is not done again
            seen = now
        assert night(videos, store, N_SAMPLES, cluster) == picks
        assert seen.items() <= full_blocks(store).items()
        check_written(store, expected)
        runs += 1


def check_written(store: Path, expected: dict[str, bytes]) -> None:
    found = written(store)
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        assert found[name] == data, name


def pids(client: Client) -> list[int]:
    """Process numbers of two workers, once both answer: one may have been killed just now."""
    found: list[int] = []
    while len(found) < 2:
        client.wait_for_workers(2, timeout=60)
        answers = client.run(os.getpid, on_error="return").values()
        found = sorted(one for one in answers if isinstance(one, int))
    return found


def workers_killed_at_moments(
    videos: Path, folder: Path, cluster: str, processes: str, *, kills: int, seed: int
) -> None:
    """Kill one of two workers at a random moment of each run; all end like one left alone."""
    picks = night(videos, folder / "alone", N_SAMPLES, cluster)
    expected = written(folder / "alone")
    started = time.monotonic()
    assert night(videos, folder / "calm", N_SAMPLES, processes) == picks
    takes_s = time.monotonic() - started
    rng = random.Random(seed)
    killed = 0
    with Client(processes) as client:
        for number in range(10 * kills):
            victim, moment_s = rng.choice(pids(client)), rng.uniform(0, takes_s)
            timer = threading.Timer(moment_s, os.kill, (victim, signal.SIGKILL))
            store = folder / f"store-{number}"
            started = time.monotonic()
            timer.start()
            assert night(videos, store, N_SAMPLES, processes) == picks
            takes_s = min(takes_s, time.monotonic() - started)
            killed += not timer.is_alive()  # else the run has ended before the moment
            timer.cancel()
            check_written(store, expected)
            if killed == kills:
                return
    raise AssertionError(f"in {10 * kills} runs only {killed} workers could be killed")


def nights_in_any_split(videos: Path, folder: Path, cluster: str, *, seeds: int) -> None:
    """Five nights, split at random, give the rows of one, and each keeps what the last chose."""
    night(videos, folder / "at-once", N_SAMPLES, cluster)
    frames, vectors = content(Store.open(folder / "at-once"))
    catalogue = Store.open(folder / "at-once").read_catalogue()
    for seed in range(seeds):
        rng = random.Random(seed)
        cuts = sorted(rng.sample(range(1, len(NAMES)), 4))
        growing, store = folder / f"growing-{seed}", folder / f"store-{seed}"
        growing.mkdir()
        before: list[int] = []
        for number, (first, last) in enumerate(
            zip([0, *cuts], [*cuts, len(NAMES)], strict=True), start=1
        ):
            for name in NAMES[first:last]:
                shutil.copy(videos / f"{name}.mp4", growing)
            picks = night(growing, store, 6 * number, cluster)
            assert picks[: len(before)] == before  # a night keeps what the last one chose
            before = picks
            again = night(growing, store, 6 * number, cluster)
            assert again == picks
        opened = Store.open(store)
        grown = content(opened)
        assert grown[0].equals(frames)
        assert (grown[1] == vectors).all()
        names = [(v.path, v.first_row, v.rows, v.state) for v in opened.read_catalogue().videos]
        assert names == [(v.path, v.first_row, v.rows, v.state) for v in catalogue.videos]


def two_at_once(videos: Path, folder: Path, cluster: str, *, attempts: int) -> None:
    """Two runs write to one store at once, and nothing is lost."""
    halves = [folder / "first", folder / "second"]
    for half, names in zip(halves, (NAMES[:10], NAMES[10:20]), strict=True):
        half.mkdir()
        for name in names:
            shutil.copy(videos / f"{name}.mp4", half)
    for attempt in range(attempts):
        store = folder / f"store-{attempt}"
        threads = [
            threading.Thread(target=night, args=(half, store, 5, cluster)) for half in halves
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened = Store.open(store)
        found = opened.read_catalogue().videos
        assert sorted(video.path for video in found) == [f"{name}.mp4" for name in NAMES[:20]]
        assert {video.state for video in found} == {"ok"}
        frames, vectors = content(opened)
        assert frames["row"].tolist() == list(range(80))
        assert (abs((vectors.astype(float) ** 2).sum(axis=1) ** 0.5 - 4000) < 30).all()
