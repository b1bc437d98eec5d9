"""Clips of random kinds, and what a sequential decode of each gives."""

import random
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pandas as pd

from coreframe.tasks.embed.plan import PartLimits
from coreframe.tasks.export.job import ExportJob, export_job
from coreframe.tasks.output.images import PictureSettings
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.store import Store
from tests.runs import content, ingest
from tests.videos import Recipe, make

KINDS = [
    ("libx264", "mp4"),
    ("libx264", "mkv"),
    ("libx264", "ts"),
    ("libx264", "avi"),
    ("libx264", "flv"),
    ("libx265", "mp4"),
    ("libx265", "ts"),
    ("mpeg4", "mp4"),
    ("mpeg4", "avi"),
    ("mpeg4", "mkv"),
    ("msmpeg4", "mkv"),
    ("mpeg2video", "ts"),
    ("mpeg2video", "mpg"),
    ("libvpx-vp9", "webm"),
    ("mjpeg", "mov"),
    ("ffv1", "mkv"),
    ("qtrle", "mov"),
]

SMALL_PARTS = PartLimits(least_px=1, most_frames=7, unseekable_frames=16)


def any_clip(folder: Path, seed: int) -> Path:
    """Make a clip whose codec, container, flags, cuts, orientation, aspect and clock are random."""
    rng = random.Random(seed)
    codec, suffix = rng.choice(KINDS)
    options = {"bf": str(rng.randint(0, 3))} if codec in ("libx264", "mpeg4", "mpeg2video") else {}
    if codec == "libx265":
        options = {"x265-params": f"log-level=none:open-gop={rng.randint(0, 1)}"}
    elif codec == "libvpx-vp9":
        options = {"deadline": "realtime", "cpu-used": "8"}
    frames = rng.randint(8, 40)
    pts = None
    if suffix in ("mp4", "mkv", "mov") and rng.random() < 0.4:
        steps = [rng.choice([20, 40, 40, 40, 90, 400]) for _ in range(frames)]
        pts = np.cumsum([rng.choice([0, 0, 1500]), *steps])[:frames].tolist()
    recipe = Recipe(
        f"{seed}.{suffix}",
        codec,
        frames=frames,
        width=rng.choice([64, 96, 130]),
        height=rng.choice([48, 66]),
        gop=rng.choice([4, 9, 30]),
        options=options,
        pixel_format={"mjpeg": "yuvj420p", "qtrle": "rgb24"}.get(codec, "yuv420p"),
        pts=pts,
    )
    path = make(recipe, folder)
    if suffix in ("mp4", "mkv", "mov") and rng.random() < 0.4:
        path = _all_marked(path)
    before, after = [], []
    if suffix in ("mp4", "mov") and rng.random() < 0.6:
        before = ["-display_rotation", str(rng.choice([0, 90, 180, 270]))]
        before += rng.choice([[], ["-display_hflip"]])
    if suffix in ("mp4", "mkv", "mov") and rng.random() < 0.3:
        after += ["-aspect", rng.choice(["16:9", "3:1", "1:2"])]
    if suffix == "ts" and rng.random() < 0.6:
        after += ["-output_ts_offset", str(rng.choice([3, 1000, 95443]))]
    if before or after:
        _ffmpeg(path, before, after)
    if suffix in ("ts", "mpg") and rng.random() < 0.5:
        path.write_bytes(path.read_bytes() * rng.randint(2, 3))
    elif suffix in ("mkv", "ts", "webm") and rng.random() < 0.3:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * rng.uniform(0.4, 0.9))])
    return path


def _all_marked(path: Path) -> Path:
    """Mark every packet as a keyframe."""
    source = path.rename(path.with_stem(f"{path.stem}-unmarked"))
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                packet.is_keyframe, packet.stream = True, copy
                new.mux(packet)
    source.unlink()
    return path


def _ffmpeg(path: Path, before: list[str], after: list[str]) -> None:
    """Copy the packets, with options for reading and for writing."""
    source = path.rename(path.with_stem(f"{path.stem}-plain"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *before, "-i", str(source)]
    subprocess.run([*command, "-c", "copy", *after, str(path)], check=True)
    source.unlink()


WAYS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
"""To turn and mirror a picture."""


def turned(image: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    return np.rot90(image[:, ::-1] if mirrored else image, turns)


def stored_frames(path: Path, *, holding: bool = False) -> list[np.ndarray]:
    """Every frame that a plain decode gives, as it is stored: (height, width, 3) uint8 RGB.

    What decoders leave unwritten of a damaged frame shows what its memory held before; ``holding``
    all frames gives each other memory.
    """
    stored, held = [], []
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    stored.append(frame.to_ndarray(format="rgb24"))
                    held += [frame] if holding else []
            except av.FFmpegError:
                continue
    return stored


def sequential(path: Path) -> list[np.ndarray]:
    """Every frame that a plain decode gives, turned as FFmpeg's command turns the first."""
    stored = stored_frames(path)
    if not stored:
        return []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    command += ["-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)

    def far(way: tuple[int, bool]) -> float:
        image = turned(stored[0], *way)
        return float(np.abs(image.astype(int) - raw.reshape(image.shape)).mean())

    best = min(WAYS, key=far)
    return [turned(image, *best) for image in stored]


def check_any_clips(folder: Path, seeds: range, clusters: list[str]) -> None:
    """Ingest clips in small parts on each cluster: rows and images are those of a plain decode."""
    videos = folder / "videos"
    videos.mkdir()
    truth = {path.name: sequential(path) for path in (any_clip(videos, seed) for seed in seeds)}
    found: list[tuple[pd.DataFrame, np.ndarray]] = []
    for number, cluster in enumerate(clusters):
        settings = {"block_rows": [64, 50][number % 2], "pixels": "stored"}
        place = folder / f"store{number}"
        store, _ = ingest([videos], place, cluster, limits=SMALL_PARTS, **settings)
        found.append(content(store))
    for frames, vectors in found[1:]:
        pd.testing.assert_frame_equal(frames, found[0][0])
        assert np.array_equal(vectors, found[0][1])
    for video in store.read_catalogue().videos:
        if not truth[video.path]:
            assert video.state == VideoState.BROKEN, video
            continue
        assert video.state in (VideoState.OK, VideoState.DAMAGED), video
        own = store.frames().query(f"video == {video.video} and state == 'ok'")
        assert own["frame_index"].tolist() == list(range(len(truth[video.path]))), video.path
        images = exported(store, folder / "images", video.video)
        for frame_index, image in enumerate(truth[video.path]):
            assert np.array_equal(images[frame_index], image), (video.path, frame_index)


def exported(store: Store, folder: Path, number: int) -> dict[int, np.ndarray]:
    """Export every frame of a video: the images that were written, by ``frame_index``."""
    folder.mkdir(exist_ok=True)
    video = store.read_catalogue().videos[number]
    frames = store.frames().query("video == @number and state == 'ok'")
    job = ExportJob(
        store=store.path,
        video=number,
        source=video.source,
        fingerprint=video.fingerprint,
        frame_index=tuple(frames["frame_index"].tolist()),
        digest=tuple(frames["digest"].tolist()),
        targets=tuple(str(folder / f"{number}_{one}.png") for one in frames["frame_index"]),
        measure=(False,) * len(frames),
        viewing=store.settings.viewing.of(video),
        picture=PictureSettings(),
    )
    assert not export_job(job).failures, video.path
    images = {}
    for target, frame_index in zip(job.targets, job.frame_index, strict=True):
        with av.open(target) as container:
            (frame,) = container.decode(video=0)
            images[frame_index] = frame.to_ndarray(format="rgb24")
    return images
