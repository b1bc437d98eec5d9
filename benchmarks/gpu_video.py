"""The sections of `gpu_check` that decode: whether a GPU gives equal frames, and how fast."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.codec.hwaccel import HWAccel
from gpu_tools import Check, Differs

from coreframe.tasks.gpu_video import decoder
from coreframe.tasks.gpu_video.reduce import Batch, Kind, Look, Reduced, Surface
from coreframe.tasks.gpu_video.siting import siting_of
from coreframe.tasks.gpu_video.swscale import SITINGS, Picture, Siting
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.digest import frame_digest, frame_header
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.orientation import orientation
from coreframe.tasks.video.pixels import Framing, InputScaler, luminance_and_sharpness, shown_size
from coreframe.tasks.video.planes import all_lines
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

ROOT = Path(__file__).parents[1]

FRAMINGS = (Framing(64), Framing(224, shorter_px=256, resampling="bicubic"))


@dataclass(frozen=True)
class Clip:
    """What a clip of its own is made of."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 1280
    height: int = 720
    options: dict[str, str] = field(default_factory=dict)


X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}
CLIPS = {
    "h264": Clip(),
    "h264-1080": Clip(width=1920, height=1080),
    "h264-full-range": Clip(pixel_format="yuvj420p"),
    "h264-601": Clip(options={"colorspace": "smpte170m"}),
    "h264-709": Clip(options={"colorspace": "bt709"}),
    "h264-2020": Clip(options={"colorspace": "bt2020nc"}),
    "h264-top-left": Clip(options={"x264-params": "chromaloc=2"}),
    "h264-small": Clip(width=322, height=242),
    "hevc": Clip("libx265", options=X265),
    "hevc-1080": Clip("libx265", width=1920, height=1080, options=X265),
    "hevc-10": Clip("libx265", "yuv420p10le", options=X265),
    "hevc-10-2020": Clip("libx265", "yuv420p10le", options=X265 | {"colorspace": "bt2020nc"}),
    "vp9": Clip("libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
}
"""Which a GPU is to decode as a CPU does."""

LEFT_TO_CPUS = {
    "h264-10": Clip(pixel_format="yuv420p10le"),
    "h264-444": Clip(pixel_format="yuv444p"),
    "vp9-odd": Clip("libvpx-vp9", width=641, height=361, options={"cpu-used": "8"}),
    "mpeg4": Clip("mpeg4"),
}


@lru_cache(maxsize=1)
def patches(width: int, height: int) -> np.ndarray:
    """A picture of squares in all colours."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    return np.kron(noise, np.ones((8, 8, 1), np.uint8))[:height, :width]


def make(path: Path, clip: Clip, frames: int, gop: int = 12) -> Path:
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast"} if clip.codec == "libx264" else {}
        stream = container.add_stream(clip.codec, rate=30, options=options | clip.options)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pixel_format
        stream.codec_context.gop_size = gop
        for number in range(frames):
            moved = np.roll(patches(clip.width, clip.height), (number, 3 * number), axis=(0, 1))
            image = np.ascontiguousarray(moved)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def by_cpu(path: Path, index: VideoIndex, viewing: Viewing, framing: Framing) -> list[Reduced]:
    scale = InputScaler(framing, viewing)
    return [
        Reduced(at, scale(frame), frame_digest(frame, viewing), *luminance_and_sharpness(frame))
        for at, frame in decode_frames(path, index, np.arange(len(index)), viewing)
    ]


def on_cpu_tensors(
    path: Path, index: VideoIndex, viewing: Viewing, framing: Framing, siting: Siting
) -> Iterator[Reduced]:
    """What `reduced_frames` gives, of software-decoded planes: where there is no GPU."""
    for at, frame in decode_frames(path, index, np.arange(len(index)), viewing):
        bits = 8 if frame.format.name in ("yuv420p", "yuvj420p") else 10
        wide = [np.ascontiguousarray(one) for one in all_lines(frame)]
        luma, cb, cr = (one.view(np.uint16) << 6 if bits > 8 else one for one in wide)
        planes = (torch.from_numpy(one) for one in (luma, np.stack([cb, cr], axis=-1)))
        picture = Picture.of(frame, bits, siting)
        kind = Kind(picture, *framing.scaled_px(*shown_size(frame, viewing)))
        batch = Batch(kind, framing, 1, torch.device("cpu"))
        look = Look(at, frame_header(frame, viewing), orientation(frame, viewing))
        batch.add(Surface(*planes), look)
        yield from batch.reduced()


def equal(one: Reduced, other: Reduced) -> bool:
    plain = one._replace(image=None), other._replace(image=None)  # type: ignore[arg-type]
    return plain[0] == plain[1] and np.array_equal(one.image, other.image)


def frames_equal(check: Check) -> dict[str, Any]:
    """Small pictures, digests and measures of every kind of clip, from the GPU and from a CPU."""
    count, found = check.many(24, 3), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, clip in CLIPS.items():
            container = "webm" if clip.codec == "libvpx-vp9" else "mp4"
            path = make(Path(folder, f"{name}.{container}"), clip, count)
            facts, index = index_video(path)
            viewing = AS_SHOWN.of(facts)
            why = decoder.refusal(facts, index, viewing)
            if why:
                raise Differs(f"{name} is left to CPUs: {why}")
            for framing in FRAMINGS:
                expected = by_cpu(path, index, viewing, framing)
                ((_, frame),) = decode_frames(path, index, np.arange(1), viewing)
                if check.device.type == "cuda":
                    where = viewing, framing, check.device
                    siting = decoder.proven(path, index, expected[0], frame, *where)
                    every = np.arange(len(index))
                    own = list(decoder.reduced_frames(path, index, every, *where, siting))
                else:
                    siting = siting_of(frame, viewing, framing) or SITINGS[0]
                    own = list(on_cpu_tensors(path, index, viewing, framing, siting))
                if len(own) != len(expected) or not all(map(equal, own, expected)):
                    raise Differs(f"frames of {name}")
                found[name] = {"frames": len(own), "siting": tuple(siting)}
        refused = {}
        for name, clip in LEFT_TO_CPUS.items():
            container = "webm" if clip.codec == "libvpx-vp9" else "mp4"
            path = make(Path(folder, f"{name}.{container}"), clip, 3)
            refused[name] = left_to_cpus(path, check.device)
    return {"same": True, "clips": found, "left_to_cpus": refused}


def left_to_cpus(path: Path, device: torch.device) -> str:
    """Why."""
    facts, index = index_video(path)
    viewing = AS_SHOWN.of(facts)
    why = decoder.refusal(facts, index, viewing)
    if not why and device.type == "cuda":
        every = np.arange(len(index))
        try:
            given = decoder.reduced_frames(
                path, index, every, viewing, FRAMINGS[0], device, SITINGS[0]
            )
            why = f"not at all: {len(list(given))} frames"
        except decoder.NotOnGpuError as error:
            why = str(error)
    return why


# --- rates ---------------------------------------------------------------------------------


def film(folder: Path, frames: int, copies: int, number: int) -> Path:
    """1080p H.264 of some Mb/s: a clip some times over, of which each file has its own title."""
    clip = folder / "clip.mp4"
    if not clip.exists():
        options = {"b": "7M", "bf": "2"}
        make(clip, Clip(width=1920, height=1080, options=options), frames, gop=60)
    path = folder / f"film-{number}.mp4"
    with av.open(str(path), "w") as target:
        target.metadata["title"] = f"film {number}"
        stream, shift = None, 0
        for _ in range(copies):
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(video)
                lasting = 0
                for packet in source.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    lasting = max(lasting, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    target.mux(packet)
                shift += lasting
    return path


def rate(decode: Callable[[], int], threads: int) -> float:
    """Frames a second of so many at once."""
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        frames = sum(future.result() for future in [pool.submit(decode) for _ in range(threads)])
    return frames / (time.perf_counter() - start)


def decode_rates(check: Check) -> dict[str, Any]:
    """What decoders give when nothing is done with their frames: the ceilings of ingestion."""
    with tempfile.TemporaryDirectory() as folder:
        path = film(Path(folder), check.many(300, 12), check.many(4), 0)

        def software() -> int:
            with av.open(str(path)) as container:
                container.streams.video[0].thread_count = 1
                return sum(1 for _ in container.decode(video=0))

        def on_gpu() -> int:
            accelerator = HWAccel("cuda", allow_software_fallback=False, is_hw_owned=True)
            with av.open(str(path), hwaccel=accelerator) as container:
                return sum(1 for _ in container.decode(video=0))

        many = (1, 4, 8, 16)
        found = {"cpu_frames_per_s": {threads: rate(software, threads) for threads in many[::3]}}
        if check.device.type == "cuda":
            found["gpu_frames_per_s"] = {threads: rate(on_gpu, threads) for threads in many}
    return found


def ingest(check: Check) -> dict[str, Any]:
    """The command's embed stage: without the GPU, by its decoders, and by whoever is faster."""
    found: dict[str, Any] = {}
    tables: list[dict[str, bytes]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "films").mkdir()
        for number in range(check.many(8, 2)):
            made = film(folder, check.many(300, 12), check.many(8), number)
            made.rename(folder / "films" / made.name)
        gpu = ["gpu", "auto"] if check.device.type == "cuda" else ["auto"]
        for who in ("cpu", *gpu):
            store = folder / f"store-{who}"
            command = [sys.executable, "-m", "coreframe", "ingest", str(folder / "films")]
            command += ["--store", str(store), "--decoder", who]
            command += ["--device", "cpu" if who == "cpu" else check.device.type]
            environment = os.environ | {"PREFECT_HOME": str(folder / "prefect")}
            environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
            subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
            (written,) = (store / "runs").glob("*.json")
            record = json.loads(written.read_text())
            frames, seconds = record["counts"]["embedded_frames"], record["timings_s"]["embed"]
            found[who] = {
                "frames": frames,
                "embed_s": seconds,
                "frames_per_s": frames / seconds,
                "by_gpu": record["counts"]["frames_by_gpu"],
                "gpu_faults": record["counts"]["gpu_faults"],
            }
            tables.append(
                {
                    str(path.relative_to(store)): path.read_bytes()
                    for part in ("embeddings.zarr", "frames")
                    for path in sorted((store / part).rglob("*"))
                    if path.is_file()
                }
            )
            shutil.rmtree(store)
    if any(own != tables[0] for own in tables):
        raise Differs("stores")
    return {"same": True} | found
