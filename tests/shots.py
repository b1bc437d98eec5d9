"""Two H.264 fixtures cut from the shared videos: 31 real shots of very unequal length.

The shots were chosen by eye from contact sheets: each one is a scene, a camera position or a
card that no other row shows.  The sources are 0.3 to 10 s long, so a row which must last longer
than its source stretch plays it forwards and backwards in turn (a boomerang): no cut and no new
content comes in, only more frames of the same shot, which is what a long shot is to a sampler.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

WIDTH, HEIGHT, FPS = 320, 240, 30


class Shot(NamedTuple):
    """One row: a stretch of a source video, and how long it lasts in the fixture."""

    video: str  # file name in the folder of sources
    start_s: float  # where the stretch begins, seconds after the source's first frame
    source_s: float  # how much of the source there is of this scene
    duration_s: float  # how long the shot lasts in the fixture


# fmt: off
FILES: dict[str, tuple[Shot, ...]] = {
    "shots_a.mp4": (
        Shot("flipping_a_pancake.mkv",  0.00, 8.60, 36.0),   # kitchen, woman with a pan
        Shot("counter.mp4",             0.00, 0.90,  0.3),   # grey card
        Shot("sk_bikes.mp4",            5.50, 1.95,  2.0),   # railing at a crossing
        Shot("testvideo.mp4",           7.60, 4.00,  8.0),   # deer
        Shot("nasa_13013.mp4",          0.00, 4.80,  0.5),   # astronaut, dark module
        Shot("cockatoo.mp4",            0.00, 2.40,  2.4),   # bird far off, windows
        Shot("goldeneye-vfr-drop3.mp4", 3.85, 4.70, 15.0),   # search screen
        Shot("h264_10bits.mp4",         0.00, 0.95,  0.4),   # test card, diagonal
        Shot("sk_bikes.mp4",            1.25, 1.75,  1.7),   # taxi
        Shot("counter.mp4",             2.00, 0.90,  0.9),   # green card
        Shot("sk_carphone_pristine.mp4", 0.00, 3.90, 12.0),  # man in a car
        Shot("nasa_13013.mp4",          6.00, 2.00,  1.0),   # cupola, bright wall
        Shot("testvideo.mp4",           1.05, 4.90,  0.7),   # red leaf on a rock
        Shot("cockatoo.mp4",           11.60, 2.30,  5.0),   # bird on a perch
        Shot("sk_bikes.mp4",            9.70, 0.25,  0.3),   # wheel behind a post
    ),
    "shots_b.mp4": (
        Shot("av1_video.mkv",           0.00, 4.90,  0.3),   # test card, bars
        Shot("cockatoo.mp4",            3.75, 4.00, 20.0),   # wing before the lens
        Shot("sk_bikes.mp4",            0.00, 1.15,  1.2),   # white road marking
        Shot("testvideo.mp4",          18.70, 3.40,  6.0),   # roof tiles
        Shot("goldeneye-vfr-drop3.mp4", 8.80, 1.10,  0.6),   # man and woman
        Shot("h265_video.mp4",          0.00, 0.90,  0.5),   # words on blue
        Shot("sk_bikes.mp4",            3.08, 2.35,  9.0),   # street, bus shelter
        Shot("flipping_a_pancake.mkv",  9.10, 1.20,  1.2),   # arm before the lens
        Shot("sk_bigbuckbunny.mp4",     2.40, 2.80,  3.0),   # rabbit on a bank
        Shot("testvideo.mp4",          14.00, 3.40,  0.4),   # blue rock, autumn leaves
        Shot("counter.mp4",             1.00, 0.90,  0.3),   # red card
        Shot("nasa_13013.mp4",          8.15, 4.70, 10.0),   # astronaut close, darker
        Shot("delayed_start.mp4",       0.60, 0.35,  0.8),   # plain grey, brightening
        Shot("sk_bikes.mp4",            7.50, 2.10,  4.0),   # bicycle at a wall
        Shot("goldeneye-vfr-drop3.mp4", 0.00, 3.60,  2.5),   # console with lamps
        Shot("testvideo.mp4",           0.20, 0.60,  0.6),   # near-black, copyright line
    ),
}
# fmt: on


def _stretch(folder: Path, shots: list[Shot]) -> dict[Shot, list[np.ndarray]]:
    """Decode one source once, and keep the frames of each stretch asked of it."""
    kept: dict[Shot, list[np.ndarray]] = {shot: [] for shot in shots}
    clock: dict[Shot, float] = {shot: shot.start_s for shot in shots}
    first: float | None = None
    with av.open(str(folder / shots[0].video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            first = frame.time if first is None else first
            at = frame.time - first
            if all(at > shot.start_s + shot.source_s for shot in shots):
                break
            for shot in shots:
                if not shot.start_s <= at <= shot.start_s + shot.source_s:
                    continue
                picture = frame.reformat(
                    WIDTH, HEIGHT, "yuv420p", interpolation="AREA"
                ).to_ndarray()
                # Slow sources repeat a frame, to play at their own speed at 30 per second.
                while clock[shot] <= at + 1e-6 or not kept[shot]:
                    kept[shot].append(picture)
                    clock[shot] += 1 / FPS
    return kept


def build(folder: Path, out: Path, shorter: int = 1) -> dict[str, list[tuple[int, int]]]:
    """Write the fixtures into ``out``; per file name, the (start, stop) frames of its shots.

    ``folder`` holds the 15 shared videos.  Every shot lasts so many times shorter.  One encoder
    thread, a fixed preset and no clock, so that the same libx264 writes the same file each time.
    """
    rows = sorted({shot for shots in FILES.values() for shot in shots})
    pictures: dict[Shot, list[np.ndarray]] = {}
    for video in sorted({shot.video for shot in rows}):
        pictures |= _stretch(folder, [shot for shot in rows if shot.video == video])

    bounds: dict[str, list[tuple[int, int]]] = {}
    for name, shots in FILES.items():
        bounds[name] = []
        at = 0
        with av.open(str(out / name), "w") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.time_base = Fraction(1, FPS)
            stream.options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
            for shot in shots:
                once = pictures[shot]
                cycle = once + once[-2:0:-1]  # forwards, then back, the ends not twice
                stop = at + round(shot.duration_s * FPS / shorter)
                bounds[name].append((at, stop))
                for index in range(stop - at):
                    frame = av.VideoFrame.from_ndarray(cycle[index % len(cycle)], "yuv420p")
                    frame.pts, frame.time_base = at + index, Fraction(1, FPS)
                    container.mux(stream.encode(frame))
                at = stop
            container.mux(stream.encode(None))
    return bounds
