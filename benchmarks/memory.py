"""Peak memory of every process of a run, against the length and the size of the video.

Makes videos of 1, 5 and 20 minutes of 720p, and of 1 minute of 1080p and 2160p, curates each with
the command, and watches the resident memory of it and of all its children four times a second.

    python benchmarks/memory.py [--folder FOLDER] [--json FILE]
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

sys.path[:0] = [str(Path(__file__).parent)]

from commands import OURS, watch  # noqa: E402

CASES = ((1, 720), (5, 720), (20, 720), (1, 1080), (1, 2160))
"""Minutes, and lines of a 16:9 picture."""

FPS = 25


def make_video(path: Path, minutes: int, height: int) -> None:
    """H.264 whose picture drifts, with a new scene every ten seconds."""
    width = height * 16 // 9
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(minutes * 60 * FPS):
            if number % (10 * FPS) == 0:
                rng = np.random.default_rng(number)
                waves = rng.uniform(0.002, 0.02, (3, 2))
                base = np.stack([np.sin(rows * a + columns * b) for a, b in waves], axis=-1)
                scene = ((base + 1) * 127).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.roll(scene, 2 * number, axis=1), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to keep the videos (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for minutes, height in CASES:
            name = f"{minutes}-minutes-{height}p"
            video = folder / f"{name}.mp4"
            if not video.exists():
                make_video(video, minutes, height)
            target = Path(temporary) / name
            places = ["--store", str(target / "store"), "--out", str(target / "out")]
            run = watch([*OURS, "curate", str(video), "--n-samples", "99", *places])
            peak = {role: round(most / 1e6) for role, most in sorted(run.peak_bytes.items())}
            found = peak | {"seconds": round(run.seconds, 1)}
            frames = minutes * 60 * FPS
            results.append({"minutes": minutes, "height": height, "frames": frames} | found)
            print(f"{minutes:3} min of {height}p, {frames:6} frames: {found}", flush=True)
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count()}
        arguments.json.write_text(json.dumps({**machine, "peak_mb": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
