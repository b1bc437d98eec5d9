"""From the command to its first picture: wall time of whole commands, split by phase.

Each with a home of Prefect's of its own that is new, and with no server alive: as whoever tries
Coreframe has it. With ``--against REV`` another commit of this repository does the same in turns,
with the packages of this environment, and ratios are of medians.

    python benchmarks/first_picture.py [--against REV] [--rounds N] [--cases NAME ...]
        [--json FILE]

Phases: *start* is all before the run begins (Python, imports, checks, Prefect's temporary server);
the stages are those of the run's record; *page* is from the last table to the report; *between* is
the rest of the run (workers, what Prefect is told); *end* is from the run's end to the command's.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data"), str(ROOT / "benchmarks")]

from commands import OURS, Watched, installed, watch  # noqa: E402
from selection import machine  # noqa: E402

from make_demo import build  # noqa: E402

FPS, SECONDS, WIDTH_PX, HEIGHT_PX, SCENES = 25, 10, 640, 360, 5

CASES = {
    "curate": "curate of one clip of 10 s, 20 frames, a new store",
    "again": "the same again, with nothing new",
    "named": "the same again with --name, with nothing new",
    "ingest": "ingest of the clip, a new store",
    "demo": "curate of the demo, 40 frames, a new store",
}

AGAIN = {"again": [], "named": ["--name", "nightly"]}
"""Cases in which the same has been done before, with options of both commands."""


@dataclass(frozen=True)
class Version:
    """One of the commands that are compared."""

    name: str
    words: Sequence[str]
    environment: dict[str, str]


def make_clip(path: Path) -> None:
    """H.264 with five scenes of two seconds, in each of which something moves."""
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for number in range(FPS * SECONDS):
            rng = np.random.default_rng(number * SCENES // (FPS * SECONDS))
            waves = [np.sin(rows * a + columns * b) for a, b in rng.uniform(0.002, 0.03, (3, 2))]
            picture = ((np.stack(waves, axis=-1) + 1) * 127).astype(np.uint8)
            x = number * 2 % (WIDTH_PX - 64)
            picture[100:164, x : x + 64] = rng.integers(0, 256, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def arguments(case: str, folder: Path, place: Path) -> list[str]:
    """The words after the command's name, for one case in one place."""
    if case == "ingest":
        return ["ingest", str(folder / "clip"), "--store", str(place / "store")]
    places = ["--store", str(place / "store"), "--out", str(place / "out")]
    if case == "demo":
        budget = ["--n-samples", "40", "--corrupt-threshold", "0.2"]
        return ["curate", str(folder / "demo"), *places, *budget]
    return ["curate", str(folder / "clip"), *places, "--n-samples", "20", *AGAIN.get(case, [])]


def run(version: Version, words: Sequence[str], place: Path) -> dict[str, float]:
    """Seconds of one command in all, and by phase."""
    home = tempfile.mkdtemp(dir=place)
    environment = os.environ | {"PREFECT_HOME": home} | version.environment
    environment.pop("PREFECT_API_URL", None)
    begin_s = time.time()
    found: Watched = watch([*version.words, *words], environment, every_s=0)
    return {"seconds": found.seconds} | phases(place, begin_s, begin_s + found.seconds)


def phases(place: Path, begin_s: float, end_s: float) -> dict[str, float]:
    """What passed when, by the record that the run left and the times of its files."""
    path = max((place / "store" / "runs").iterdir(), key=lambda one: one.stat().st_mtime)
    record = json.loads(path.read_text())
    recorded_s = path.stat().st_mtime
    began_s = recorded_s - record["seconds"]
    found = {"start": began_s - begin_s} | dict(record["timings_s"])
    page, table = place / "out" / "report.html", place / "out" / "run.json"
    if page.exists() and page.stat().st_mtime > begin_s:
        found["page"] = page.stat().st_mtime - table.stat().st_mtime
    found["between"] = end_s - begin_s - sum(found.values()) - (end_s - recorded_s)
    return found | {"end": end_s - recorded_s}


def measured(case: str, versions: Sequence[Version], folder: Path) -> Iterator[dict[str, Any]]:
    """One turn of a case: each version once, in a place of its own."""
    for version in versions:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            place = Path(name)
            words = arguments(case, folder, place)
            if case in AGAIN:
                run(version, words, place)
            yield {"version": version.name, **run(version, words, place)}


def medians(turns: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    """Of each phase, over the turns of one version."""
    own = [turn for turn in turns if turn["version"] == name]
    keys = [key for key in own[0] if key not in ("version", "seconds", "end")]
    return {
        key: round(statistics.median(turn.get(key, 0.0) for turn in own), 2)
        for key in ["seconds", *keys, "end"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="REV", help="a commit to compare with, in turns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "clip").mkdir()
        make_clip(folder / "clip" / "clip.mp4")
        if "demo" in options.cases:
            build(folder / "demo")
        versions = [Version("this", OURS, {})]
        if options.against:
            words, environment = stack.enter_context(installed(options.against))
            versions.insert(0, Version(options.against, words, environment))
        report = {}
        for case in options.cases:
            turns = [
                turn for _ in range(options.rounds) for turn in measured(case, versions, folder)
            ]
            found = {version.name: medians(turns, version.name) for version in versions}
            report[case] = {"turns": turns, "medians": found}
            print(f"{CASES[case]}:")
            for title, times in found.items():
                print(f"  {title:>8}: " + ", ".join(f"{key} {s:.1f}" for key, s in times.items()))
            if options.against:
                ratio = found["this"]["seconds"] / found[options.against]["seconds"]
                report[case]["ratio"] = round(ratio, 3)
                print(f"  {ratio:.2f} of the time", flush=True)
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "cases": report}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
