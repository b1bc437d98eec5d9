"""H.264 fixtures cut from the shared videos: sets of 31 real shots of very unequal length.

The shots of `FILES` were chosen by eye from contact sheets: each one is a scene, a camera position
or a card that no other row shows.  The sources are 0.3 to 10 s long, so a row which must last
longer than its source stretch plays it forwards and backwards in turn (a boomerang): no cut and no
new content comes in, only more frames of the same shot, which is what a long shot is to a sampler.

`seeded_files` makes other sets of 31 of them by a rule: other cuts, lengths and neighbours, night,
other camera positions, and a camera that moves.  HELD_OUT names three that nothing may be tuned on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

WIDTH, HEIGHT, FPS = 320, 240, 30


class Window(NamedTuple):
    """What the camera sees of its source, as shares of what it could be moved by."""

    size: float  # share of the source's width and height
    start: tuple[float, float]  # where it begins: 0 is left or top, 1 right or bottom
    stop: tuple[float, float]  # where it is at the end of the stretch


WHOLE = Window(1.0, (0.0, 0.0), (0.0, 0.0))


class Shot(NamedTuple):
    """One row: a stretch of a source video, and how long it lasts in the fixture."""

    video: str  # file name in the folder of sources
    start_s: float  # where the stretch begins, seconds after the source's first frame
    source_s: float  # how much of the source there is of this scene
    duration_s: float  # how long the shot lasts in the fixture
    night: bool = False  # a third of the light, with half of the colour left
    window: Window = WHOLE


Files = Mapping[str, tuple[Shot, ...]]
"""The shots of each file."""

HELD_OUT = (2026, 2027, 2028)
"""Seeds for measuring, never for tuning: tune on others."""

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


CARDS = ("counter.mp4", "h264_10bits.mp4", "av1_video.mkv", "h265_video.mp4", "delayed_start.mp4")
DARK = ("nasa_13013.mp4", "goldeneye-vfr-drop3.mp4")
COPYRIGHT = FILES["shots_b.mp4"][-1]


def seeded_files(seed: int) -> Files:
    """31 shots in three files, by a rule.

    Of the 31 rows above five are left out, and five that a camera filmed are there a second time:
    as a shot at night of what is there by day, or from nearby, of one side, by a camera at rest.
    Of the others that a camera filmed, each third is a night and each third is filmed by a
    camera that moves, drawn on their own; cards stay as they are, and dark ones get no darker.  A
    shot is cut from a random half or more of its stretch, and lasts 0.3 to 24 s, log-uniform.
    """
    draw = random.Random(seed)
    rows = [shot for shots in FILES.values() for shot in shots]
    draw.shuffle(rows)
    chosen = rows[5:]
    filmed = [shot for shot in chosen if shot.video not in CARDS and shot != COPYRIGHT]
    seconds = []
    for shot in filmed[:5]:
        if draw.random() < 0.5 and shot.video not in DARK:
            seconds.append(_cut(shot, draw)._replace(night=True))
            chosen[chosen.index(shot)] = _cut(shot, draw)
        else:
            side = (float(draw.randrange(2)), draw.random())
            seconds.append(_cut(shot, draw)._replace(window=Window(0.6, side, side)))
            chosen[chosen.index(shot)] = _cut(shot, draw)
    for shot in filmed[5:]:
        night = draw.random() < 1 / 3 and shot.video not in DARK
        moves = draw.random() < 1 / 3
        start, stop = ((draw.random(), draw.random()) for _ in range(2))
        window = Window(0.75, start, stop) if moves else WHOLE
        chosen[chosen.index(shot)] = _cut(shot, draw)._replace(night=night, window=window)
    shots = [
        shot._replace(duration_s=round(0.3 * 80 ** draw.random(), 2)) for shot in chosen + seconds
    ]
    draw.shuffle(shots)
    third = len(shots) // 3
    return {
        f"shots_{seed}_a.mp4": tuple(shots[:third]),
        f"shots_{seed}_b.mp4": tuple(shots[third : 2 * third]),
        f"shots_{seed}_c.mp4": tuple(shots[2 * third :]),
    }


def _cut(shot: Shot, draw: random.Random) -> Shot:
    source_s = shot.source_s * (0.5 + draw.random() / 2)
    start_s = shot.start_s + (shot.source_s - source_s) * draw.random()
    return shot._replace(start_s=round(start_s, 3), source_s=round(source_s, 3))


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
                picture = _filmed(frame, shot, (at - shot.start_s) / shot.source_s)
                # Slow sources repeat a frame, to play at their own speed at 30 per second.
                while clock[shot] <= at + 1e-6 or not kept[shot]:
                    kept[shot].append(picture)
                    clock[shot] += 1 / FPS
    return kept


def _filmed(frame: av.VideoFrame, shot: Shot, share: float) -> np.ndarray:
    """One frame of a source as a shot shows it, at a share (0 to 1) of its stretch."""
    if shot.window != WHOLE:
        picture = frame.to_ndarray(format="rgb24")
        size, (x, y), (to_x, to_y) = shot.window
        height, width = (round(size * side) for side in picture.shape[:2])
        top = round((picture.shape[0] - height) * (y + (to_y - y) * share))
        left = round((picture.shape[1] - width) * (x + (to_x - x) * share))
        inside = np.ascontiguousarray(picture[top : top + height, left : left + width])
        frame = av.VideoFrame.from_ndarray(inside, "rgb24")
    seen = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="AREA").to_ndarray()
    if shot.night:
        seen = seen.astype(np.int16)
        seen[:HEIGHT] = 16 + (seen[:HEIGHT] - 16) // 3
        seen[HEIGHT:] = 128 + (seen[HEIGHT:] - 128) // 2
        seen = seen.clip(0, 255).astype(np.uint8)
    return seen


def build(
    folder: Path, out: Path, shorter: int = 1, files: Files = FILES
) -> dict[str, list[tuple[int, int]]]:
    """Write the fixtures into ``out``; per file name, the (start, stop) frames of its shots.

    ``folder`` holds the 15 shared videos.  Every shot lasts so many times shorter.  One encoder
    thread, a fixed preset and no clock, so that the same libx264 writes the same file each time.
    """
    rows = sorted({shot for shots in files.values() for shot in shots})
    pictures: dict[Shot, list[np.ndarray]] = {}
    for video in sorted({shot.video for shot in rows}):
        pictures |= _stretch(folder, [shot for shot in rows if shot.video == video])

    bounds: dict[str, list[tuple[int, int]]] = {}
    for name, shots in files.items():
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
