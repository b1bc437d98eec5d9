"""Many short clips: how fast they are indexed and embedded, and what the driver takes.

Three runs of the command, each in a process of its own: over the first half of the clips, over all
of them, and over all of them again, when nothing is new.

    python benchmarks/clips.py [--clips N] [--json FILE]
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from commands import OURS, watch  # noqa: E402
from selection import machine  # noqa: E402

FRAMES, SIDE_PX = 8, 96


def make_clip(path: Path, seed: int) -> None:
    """A moving block on a ground of its own: eight frames."""
    rng = np.random.default_rng(seed)
    ground, block = rng.integers(0, 256, (2, 3))
    x, y = rng.integers(0, SIDE_PX - 32, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            image = np.broadcast_to(ground, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
            image[y : y + 24, x + number : x + number + 24] = block
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def watched(arguments: list[str], folder: Path) -> dict[str, Any]:
    """The command in processes of its own: its seconds, and the memory of the one that drives."""
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect")}
    found = watch([*OURS, *arguments], environment, every_s=0.1)
    return {"seconds": found.seconds, "driver_bytes": found.peak_bytes["command"]}


def run(videos: list[Path], folder: Path, list_file: Path) -> dict[str, Any]:
    """One run of the command: seconds by stage, and the driver's largest memory."""
    list_file.write_text("\n".join(map(str, videos)))
    store = folder / "store"
    found = watched(["ingest", "--files-from", str(list_file), "--store", str(store)], folder)
    record = json.loads(sorted((store / "runs").iterdir())[-1].read_text())
    return {
        "files": len(videos),
        "stages_s": record["timings_s"],
        "embedded_frames": record["counts"]["embedded_frames"],
        "catalogue_bytes": (store / "catalogue.parquet").stat().st_size,
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        videos = [folder / "clips" / f"clip-{n:06d}.mp4" for n in range(arguments.clips)]
        for seed, path in enumerate(videos):
            make_clip(path, seed)
        nights = {
            "half of the clips": videos[: len(videos) // 2],
            "all of them": videos,
            "nothing new": videos,
        }
        report = {title: run(some, folder, folder / "list.txt") for title, some in nights.items()}
    print("| night | files | index s | embed s | new frames | whole run s | driver |")
    print("|---|---|---|---|---|---|---|")
    for title, found in report.items():
        stages = found["stages_s"]
        print(
            f"| {title} | {found['files']:,} | {stages['index']:.1f} | {stages['embed']:.1f} "
            f"| {found['embedded_frames']:,} | {found['seconds']:.1f} "
            f"| {found['driver_bytes'] / 1e6:.0f} MB |"
        )
    if arguments.json:
        whole = {"machine": machine(), "frames_a_clip": FRAMES, "nights": report}
        arguments.json.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()
