"""Peak memory of every process of a run, against the length of the video.

Makes videos of 1, 5 and 20 minutes, curates each with the command, and watches the resident memory
of the command and all its children four times a second.

    python benchmarks/memory.py [--folder FOLDER] [--json FILE]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import psutil

MINUTES = (1, 5, 20)
WIDTH, HEIGHT, FPS = 1280, 720, 25


def make_video(path: Path, minutes: int) -> None:
    """720p H.264 whose picture drifts, with a new scene every ten seconds."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
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


def role(process: psutil.Process, root: int) -> str:
    """What a process of the run is for."""
    if process.pid == root:
        return "command"
    line = " ".join(process.cmdline())
    if "uvicorn" in line or "prefect" in line:
        return "prefect server"
    return "worker" if "spawn_main" in line else "helper"


def watch(command: list[str]) -> dict[str, float]:
    """Run a command; peak resident MB of its largest process of each role, and its seconds."""
    peak: dict[str, float] = {}
    start = time.perf_counter()
    root = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while root.poll() is None:
        for process in [root, *root.children(recursive=True)]:
            try:
                kind, resident = role(process, root.pid), process.memory_info().rss / 1e6
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            peak[kind] = max(peak.get(kind, 0.0), resident)
        time.sleep(0.25)
    if root.returncode:
        sys.exit(f"{' '.join(command)} ended with status {root.returncode}")
    return {kind: round(value) for kind, value in sorted(peak.items())} | {
        "seconds": round(time.perf_counter() - start, 1)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to keep the videos (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = {}
        for minutes in MINUTES:
            video = folder / f"{minutes}-minutes.mp4"
            if not video.exists():
                make_video(video, minutes)
            target = Path(temporary) / str(minutes)
            results[minutes] = watch(
                [
                    str(Path(sys.executable).with_name("coreframe")),
                    *("curate", str(video), "--n-samples", "99"),
                    *("--store", str(target / "store"), "--out", str(target / "out")),
                ]
            )
            print(f"{minutes:3} min, {minutes * 60 * FPS:6} frames: {results[minutes]}", flush=True)
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count()}
        report = {"video": f"{WIDTH}x{HEIGHT} H.264", **machine, "peak_mb": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
