"""Draw the demo's corpus: a minute of video whose scenes are as unequal as in real life.

``python data/make_demo.py [FOLDER]`` writes seven videos, a truncated one and a text file (to
``demo`` beside this script unless told otherwise). Most of the minute is a quiet street, a drive,
a station, a reef and a skyline. Most of the *scenes* are holiday shots of 0.3 to 1.3 s, and
events that pass as quickly. Every picture is a function of time alone: two builds decode to the
same frames. :func:`scenes` says which frames show what.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame

import demo_holiday as holiday
import demo_places as places
from demo_brush import HEIGHT, WIDTH, Picture

TICK = Fraction(1, 600)
"""Seconds per unit of presentation time: divides 25 and 30 fps evenly."""


@dataclass(frozen=True)
class Shot:
    """A run of frames drawn by one function."""

    scene: str
    frames: int
    draw: Callable[[float, float], Picture]


@dataclass(frozen=True)
class Clip:
    """A video file to be drawn."""

    file: str
    fps: int
    shots: tuple[Shot, ...]
    codec: Literal["libx264", "libvpx-vp9"] = "libx264"
    options: dict[str, str] = field(
        default_factory=lambda: {"preset": "veryfast", "crf": "23", "forced-idr": "1"}
    )
    rotated: bool = False
    """Drawn in portrait, stored lying, turned upright by the container, as phones do."""
    slow: range = range(0)
    """Frames shown for twice as long: a variable frame rate."""


SAME_BYTES = {"fflags": "bitexact"}
"""Without it Matroska files bear a random number."""
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0"}
CLIPS = (
    Clip(
        "doorstep.mp4",
        25,
        (
            Shot("quiet street", 120, places.quiet_street),
            Shot("a bus passes", 17, places.passing_bus),
            Shot("quiet street", 90, places.quiet_street),
            Shot("someone with an umbrella", 16, places.umbrella),
            Shot("quiet street", 27, places.quiet_street),
            Shot("quiet street", 80, places.frozen_street),
        ),
    ),
    Clip(
        "drive.mkv",
        30,
        (
            Shot("farmland", 170, places.farmland),
            Shot("forest", 90, places.forest),
            Shot("tunnel", 20, places.tunnel),
            Shot("coast road", 100, places.coast_road),
        ),
    ),
    Clip(
        "holiday.mp4",
        30,
        (
            Shot("title", 15, holiday.title),
            Shot("beach", 40, holiday.beach),
            Shot("peaks", 12, holiday.peaks),
            Shot("balloons", 20, holiday.balloons),
            Shot("sunflowers", 10, holiday.sunflowers),
            Shot("desert", 16, holiday.desert),
            Shot("lighthouse", 11, holiday.lighthouse),
            Shot("aurora", 18, holiday.aurora),
            Shot("blossom", 9, holiday.blossom),
            Shot("viaduct", 26, holiday.viaduct),
            Shot("fireworks", 14, holiday.fireworks),
            Shot("campfire", 17, holiday.campfire),
        ),
    ),
    Clip(
        "phone/station.mov",
        30,
        (
            Shot("platform", 100, places.platform),
            Shot("an express passes", 18, places.express),
            Shot("platform", 62, places.platform),
        ),
        rotated=True,
    ),
    Clip(
        "reef.mp4",
        30,
        (
            Shot("reef", 110, places.reef),
            Shot("shark", 20, places.shark),
            Shot("reef", 60, places.reef),
            Shot("surface", 12, places.surface),
        ),
        slow=range(30, 90),
    ),
    Clip(
        "skyline.webm",
        25,
        (
            Shot("skyline by day", 95, places.skyline),
            Shot("skyline at sunset", 45, places.skyline),
            Shot("skyline by night", 75, places.skyline),
        ),
        codec="libvpx-vp9",
        options=VP9,
    ),
)
COPY, COPY_OF, COPIED = "copies/holiday-part.mkv", "holiday.mp4", ("balloons", "aurora")
"""The remux: packets of one clip from the first of these scenes up to before the second."""


def scenes() -> list[tuple[str, int, int, str]]:
    """The truth: (file, first frame, frame after the last, scene), frames in presentation order.

    A scene that an event interrupts, or that was copied to another file, is listed once for each
    run of frames under one name: whoever counts scenes counts distinct names.
    """
    found = []
    for clip in CLIPS:
        start = 0
        for shot in clip.shots:
            found.append((clip.file, start, start + shot.frames, shot.scene))
            start += shot.frames
    copied = [row for row in found if row[0] == COPY_OF]
    names = [name for *_, name in copied]
    copied = copied[names.index(COPIED[0]) : names.index(COPIED[1])]
    first = copied[0][1]
    return found + [(COPY, start - first, stop - first, name) for _, start, stop, name in copied]


def _frames(clip: Clip) -> Iterator[VideoFrame]:
    number = pts = 0
    for shot in clip.shots:
        for place in range(shot.frames):
            picture = shot.draw(number / clip.fps, place / max(1, shot.frames - 1)).pixels()
            stored = np.ascontiguousarray(np.rot90(picture) if clip.rotated else picture)
            frame = VideoFrame.from_ndarray(stored, format="rgb24")
            frame.pts, frame.time_base = pts, TICK
            if place == 0:  # a keyframe, so that the copy can be cut here
                frame.pict_type = PictureType.I
            yield frame
            pts += int(1 / TICK) // clip.fps * (2 if number in clip.slow else 1)
            number += 1


def _encode(clip: Clip, folder: Path) -> None:
    path = folder / clip.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", options=SAME_BYTES) as container:
        options = {**clip.options, "g": "60", "threads": "1"}
        stream = container.add_stream(clip.codec, clip.fps, options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = TICK
        if clip.rotated:
            stream.set_display_rotation(-90)
        for frame in _frames(clip):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _copy(folder: Path) -> None:
    """Remux a part of a clip: no decoding, so its pixels are the original's to the last bit."""
    start, stop = (next(row[1] for row in scenes() if row[3] == name) for name in COPIED)
    (folder / COPY).parent.mkdir(parents=True, exist_ok=True)
    with (
        av.open(folder / COPY_OF) as source,
        av.open(folder / COPY, "w", options=SAME_BYTES) as target,
    ):
        stream = source.streams.video[0]
        output = target.add_stream_from_template(stream)
        first_dts: int | None = None
        for number, packet in enumerate(p for p in source.demux(stream) if p.size):
            if start <= number < stop and packet.pts is not None and packet.dts is not None:
                first_dts = packet.dts if first_dts is None else first_dts
                packet.pts, packet.dts = packet.pts - first_dts, packet.dts - first_dts
                packet.stream = output
                target.mux(packet)


def build(folder: Path) -> None:
    """Write the whole corpus into a folder, made if need be."""
    for clip in CLIPS:
        _encode(clip, folder)
    _copy(folder)
    whole = (folder / COPY_OF).read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 2])  # its index comes last: cut off
    (folder / "notes.txt").write_text("Summer films. Back up before the next trip!\n")


def main() -> None:
    """Build, then print what was built."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "demo"
    build(folder)
    total_s, total_frames = 0.0, 0
    for path in sorted((*(folder / clip.file for clip in CLIPS), folder / COPY)):
        with av.open(path) as container:
            seconds = (container.duration or 0) / av.time_base
            frames = sum(1 for packet in container.demux(video=0) if packet.size)
        total_s, total_frames = total_s + seconds, total_frames + frames
        print(f"{path.relative_to(folder).as_posix():24} {seconds:6.1f} s {frames:6} frames")
    print(f"{'total':24} {total_s:6.1f} s {total_frames:6} frames, and broken.mp4, notes.txt")


if __name__ == "__main__":
    main()
