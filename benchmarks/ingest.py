"""Decoding and embedding: ffmpeg's command line, PyAV as tutorials write it, and Coreframe.

All on the same files and cores, each in a process of its own, in one run, so that the ratios hold
on whatever machine this is. Workers are started and warmed up before the clock. Coreframe's times
are those of its index and embed stages, into a new store.

    python benchmarks/ingest.py [--videos FOLDER] [--minutes M] [--json FILE] [--studies NAME ...]

- files: every frame of all videos of a folder (without --videos, of the demo's).
- long: every frame of one 1080p H.264 video with B-frames, made here, ten minutes long.
- sampled: two frames a second of each of them.
- today: a whole run on the long one, the chosen frames as JPEG files, against the script that
  people write today: ffmpeg writes every frame to a JPEG file, a torch DataLoader reads them, the
  same embedder and the textbook's greedy follow.

``ffmpeg`` decodes and scales the same frames to raw video, into nothing: what people know as the
limit. It is that of the package imageio-ffmpeg (`pip install -e .[dev]`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from coreframe.tasks.embedders.descriptor import DEFAULT_INPUT_PX as INPUT_PX
from coreframe.tasks.embedders.descriptor import DescriptorEmbedder

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "data")]

from selection import machine, measure, naive  # noqa: E402

WIDTH, HEIGHT, RATE = 1920, 1080, 25
SCENE_S, CLIP_S = 5, 60
SAMPLE_FPS = 2
KEPT = 99
JPEG_BATCH, LOADERS = 64, 2


def ffmpeg_path() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())


def make_long(path: Path, minutes: float) -> None:
    """A minute of moving scenes, again and again: decoding each costs the same."""
    clip = path.with_name("clip.mp4")
    clip_s = min(CLIP_S, 60 * minutes)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(clip_s * RATE)):
            if number % (SCENE_S * RATE) == 0:
                rng = np.random.default_rng(number)
                waves = rng.uniform(0.002, 0.05, (3, 2))
                base = np.stack([np.sin(rows * a + columns * b) for a, b in waves], axis=-1)
                grain = rng.normal(0, 12, base.shape)
                scene = np.clip((base + 1) * 127 + grain, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.roll(scene, 2 * number, axis=1), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    times = str(round(60 * minutes / clip_s) - 1)
    again = ["-stream_loop", times, "-i", str(clip), "-c", "copy"]
    subprocess.run([ffmpeg_path(), "-nostdin", "-v", "error", *again, str(path)], check=True)
    clip.unlink()


# --- contenders: each runs in a process of its own ------------------------------------------


def ffmpeg(files: Sequence[Path], fps: int | None, picture_px: int = INPUT_PX) -> dict[str, Any]:
    """One file after the other, with all the threads it likes."""
    filters = f"scale={picture_px}:{picture_px}:flags=area"
    wanted = ["-fps_mode", "passthrough", "-vf", filters]
    if fps is not None:
        wanted = ["-vf", f"fps={fps},{filters}"]
    start = time.perf_counter()
    for file in files:
        source = [ffmpeg_path(), "-nostdin", "-v", "quiet", "-i", str(file), "-an", "-sn"]
        target = ["-pix_fmt", "rgb24", "-f", "rawvideo", "-y", os.devnull]
        subprocess.run([*source, *wanted, *target], check=False)  # damaged files among them
    return {"seconds": time.perf_counter() - start}


def pyav(files: Sequence[Path], fps: int | None) -> dict[str, Any]:
    """The loop of the tutorials, with the decoder's own threads."""
    start, frames = time.perf_counter(), 0
    for file in files:
        with suppress(av.FFmpegError), av.open(str(file)) as container:
            stream = container.streams.best("video")
            assert stream is not None
            stream.thread_type = "AUTO"  # type: ignore[attr-defined]
            due_s = 0.0
            for frame in container.decode(stream):
                if fps is not None and frame.time is not None:
                    if frame.time < due_s:
                        continue
                    due_s += 1 / fps
                frame.reformat(width=INPUT_PX, height=INPUT_PX, format="rgb24").to_ndarray()
                frames += 1
    return {"seconds": time.perf_counter() - start, "frames": frames}


def ours(
    files: Sequence[Path], fps: int | None, workers: int = 2, embedding: bool = True
) -> dict[str, Any]:
    """The index and embed stages; with the embedder off, everything but its arithmetic."""
    from dask.distributed import Client

    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from tests.runs import ingest

    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:workers])

    def without_embedder() -> None:  # runs in the workers, where this module is not
        import torch

        from coreframe.tasks.embed import job as embed
        from coreframe.tasks.embedders.descriptor import DIM, DescriptorEmbedder

        nothing = DescriptorEmbedder()
        nothing.embed = lambda images: torch.zeros(len(images), DIM)
        embed.load_embedder = lambda spec: nothing

    sampling = {} if fps is None else {"sample_fps": str(fps)}
    with (
        tempfile.TemporaryDirectory() as folder,
        open_cluster(Compute(workers=workers, device="cpu")) as cluster,
    ):
        with Client(cluster) as client:
            client.wait_for_workers(workers)
            if not embedding:
                client.run(without_embedder)
        warm_up(Path(folder), cluster)
        start = time.perf_counter()
        _, counts = ingest(list(files), Path(folder, "store"), cluster, **sampling)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "frames": counts.frames, "censuses": counts.censuses}


def warm_up(folder: Path, cluster: str) -> None:
    """Let every worker decode something small."""
    from tests.runs import ingest
    from tests.videos import Recipe, make

    clips = [make(Recipe(f"{number}.mp4"), folder / "warm") for number in range(4)]
    ingest(clips, folder / "warm-store", cluster, block_rows=40)


def decoding(files: Sequence[Path], fps: int | None) -> dict[str, Any]:
    return ours(files, fps, embedding=False)


def one_worker(files: Sequence[Path], fps: int | None) -> dict[str, Any]:
    return ours(files, fps, workers=1, embedding=False)


Contender = Callable[[Sequence[Path], int | None], dict[str, Any]]

CONTENDERS: dict[str, Contender] = {
    "ffmpeg": ffmpeg,
    "PyAV": pyav,
    "coreframe, embedder off": decoding,
    "coreframe": ours,
}


def whole(files: Sequence[Path], _: int | None) -> dict[str, Any]:
    """All stages up to the chosen images."""
    from coreframe.flows.cluster import open_cluster
    from coreframe.flows.parameters import Compute
    from coreframe.tasks.export.task import export_frames
    from coreframe.tasks.output.images import PictureSettings
    from coreframe.tasks.select.choice import Budget, Choice
    from coreframe.tasks.select.task import choose_frames
    from tests.runs import ingest

    with (
        tempfile.TemporaryDirectory() as temporary,
        open_cluster(Compute(workers=2, device="cpu")) as cluster,
    ):
        folder = Path(temporary)
        warm_up(folder, cluster)
        start = time.perf_counter()
        store, counts = ingest(list(files), folder / "store", cluster)
        choice = Choice(budget=Budget(n_samples=KEPT))
        selection = choose_frames(store, choice, "cpu", cluster)
        (folder / "out").mkdir()
        export_frames(store, selection, folder / "out", PictureSettings(format="jpg"), cluster)
        seconds = time.perf_counter() - start
        written = size_bytes(folder / "store") + size_bytes(folder / "out")
    return {"seconds": seconds, "frames": counts.frames, "written_bytes": written}


class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """JPEG files, scaled to what the embedder takes."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> np.ndarray:
        picture = Image.open(self._files[place]).convert("RGB")
        return np.array(picture.resize((INPUT_PX, INPUT_PX), Image.Resampling.BOX))


def script(files: Sequence[Path], _: int | None) -> dict[str, Any]:
    """What people write today: every frame to JPEG, a DataLoader, the textbook's greedy."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "jpg").mkdir()
        (folder / "chosen").mkdir()
        start = time.perf_counter()
        for number, file in enumerate(files):
            source = [ffmpeg_path(), "-nostdin", "-v", "quiet", "-i", str(file)]
            target = ["-fps_mode", "passthrough", "-q:v", "2", f"{folder}/jpg/{number}-%06d.jpg"]
            subprocess.run([*source, *target], check=False)
        pictures = sorted((folder / "jpg").iterdir())
        embedder = DescriptorEmbedder(INPUT_PX)
        loader = torch.utils.data.DataLoader(
            Pictures(pictures), batch_size=JPEG_BATCH, num_workers=LOADERS
        )
        with torch.inference_mode():
            vectors = torch.cat([embedder.embed(batch) for batch in loader])
        np.save(folder / "vectors.npy", vectors.float().numpy())
        for row in naive(folder, KEPT)["chosen"]:
            shutil.copy(pictures[row], folder / "chosen")
        seconds = time.perf_counter() - start
        written = size_bytes(folder)
    return {"seconds": seconds, "frames": len(pictures), "written_bytes": written}


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# --- studies --------------------------------------------------------------------------------


def compare(
    title: str, files: Sequence[Path], fps: int | None, contenders: dict[str, Contender]
) -> dict[str, Any]:
    """Run all contenders and print a line for each; ratios against the first."""
    print(f"**{title}**\n\n| | seconds | times the first | frames | memory | written |")
    print("|---|---|---|---|---|---|")
    results: dict[str, Any] = {}
    for name, function in contenders.items():
        result = results[name] = measure(function, files, fps)
        result["ratio"] = result["seconds"] / next(iter(results.values()))["seconds"]
        memory = f"{result['peak_bytes'] / 1e6:,.0f} MB"
        written = f"{result['written_bytes'] / 1e6:,.1f} MB" if "written_bytes" in result else ""
        frames = f"{result['frames']:,}" if "frames" in result else ""
        print(
            f"| {name} | {result['seconds']:.1f} | {result['ratio']:.2f} | {frames} | {memory} "
            f"| {written} |",
            flush=True,
        )
    print(flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, help="folder of videos (the demo's by default)")
    parser.add_argument("--minutes", type=float, default=10, help="length of the long video")
    parser.add_argument("--cache", type=Path, help="where to keep what is made (temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    studies = ["files", "long", "sampled", "today"]
    parser.add_argument("--studies", nargs="*", default=studies, choices=studies)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "minutes": arguments.minutes}
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        long = cache / f"long-{arguments.minutes:g}.mp4"
        if not long.exists() and {*arguments.studies} != {"files"}:
            make_long(long, arguments.minutes)
        folder = arguments.videos
        if folder is None:
            import make_demo

            folder = cache / "demo"
            if not folder.exists():
                make_demo.build(folder)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        every = CONTENDERS | {"coreframe, embedder off, 1 worker": one_worker}
        if "files" in arguments.studies:
            report["files"] = compare("every frame of a folder", files, None, CONTENDERS)
        if "long" in arguments.studies:
            title = f"every frame of {arguments.minutes:g} min of 1080p"
            report["long"] = compare(title, [long], None, every)
        if "sampled" in arguments.studies:
            title = f"{SAMPLE_FPS} frames a second"
            report["sampled_long"] = compare(f"{title}, long", [long], SAMPLE_FPS, CONTENDERS)
            report["sampled_files"] = compare(f"{title}, folder", files, SAMPLE_FPS, CONTENDERS)
        if "today" in arguments.studies:
            contenders = {"the script of today": script, "coreframe": whole}
            title = f"a whole run, {KEPT} frames kept of {arguments.minutes:g} min of 1080p"
            report["today"] = compare(title, [long], None, contenders)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
