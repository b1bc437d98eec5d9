"""Do other readers of video give the frame that Coreframe calls by the same number?

    pip install opencv-python-headless decord2 'torchcodec==0.13.*'
    python benchmarks/readers.py [FOLDER ...] [--json FILE]

On clips of the awkward kinds that are made here, and on the videos in the folders. A reader is
asked for every frame twice: reading on from the beginning, and by its number in a shuffled order.
Its picture is taken for the frame that it looks like most. Each reader has a process of its own for
each file; one that is not installed is left out. What torchcodec needs of FFmpeg is its own matter.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from coreframe.tasks.video.decode import decode_frames  # noqa: E402
from coreframe.tasks.video.indexing import index_video  # noqa: E402
from coreframe.tasks.video.pixels import upright_rgb  # noqa: E402
from tests.videos import Recipe, make  # noqa: E402

SIDE_PX = 24
"""Pictures are compared at this size: every reader turns YUV into RGB in its own way."""

NEAR = 2.0
"""Mean difference, of 255, by which another frame may be nearer before the picture is that one."""

TIMEOUT_S = 120

Pictures = Iterator[tuple[int, NDArray[np.uint8]]]


def opencv(path: str, order: Sequence[int] | None) -> Pictures:
    import cv2

    capture = cv2.VideoCapture(path)
    if order is None:
        number = 0
        while (found := capture.read())[0]:
            yield number, found[1][:, :, ::-1]
            number += 1
    for number in order or []:
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        there, picture = capture.read()
        if there:
            yield number, picture[:, :, ::-1]


def torchcodec(mode: str) -> Callable[[str, Sequence[int] | None], Pictures]:
    def read(path: str, order: Sequence[int] | None) -> Pictures:
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(path, seek_mode=mode, dimension_order="NHWC")
        for number in range(len(decoder)) if order is None else order:
            if number < len(decoder):
                yield number, decoder[number].numpy()

    return read


def decord(path: str, order: Sequence[int] | None) -> Pictures:
    from decord import VideoReader

    reader = VideoReader(path)
    for number in range(len(reader)) if order is None else order:
        if number < len(reader):
            picture = reader.next() if order is None else reader[number]
            yield number, picture.asnumpy()


READERS: dict[str, tuple[str, Callable[[str, Sequence[int] | None], Pictures]]] = {
    "OpenCV": ("opencv-python-headless", opencv),
    "torchcodec, exact": ("torchcodec", torchcodec("exact")),
    "torchcodec, approximate": ("torchcodec", torchcodec("approximate")),
    "decord2": ("decord2", decord),
}
"""By name: what is to be installed, and how it reads frames, on from 0 or by their numbers."""


def small(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(24, 24, 3) float32 of a (height, width, 3) uint8 picture."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), np.float32)


def ours(path: Path) -> NDArray[np.float32]:
    """(frames, 24, 24, 3) float32, by ``frame_index``."""
    _, index = index_video(path)
    frames = decode_frames(path, index, np.arange(len(index)))
    found = {int(index.frame_index[where]): small(upright_rgb(frame)) for where, frame in frames}
    return np.array([found[number] for number in sorted(found)])


def compared(reader: str, path: str, truth: NDArray[np.float32], shuffled: bool) -> dict[str, int]:
    """Count the frames of a reader that are ours, those that are others, and those not given."""
    order = np.random.default_rng(0).permutation(len(truth)).tolist() if shuffled else None
    right = wrong = more = 0
    for number, picture in READERS[reader][1](path, order):
        if number >= len(truth):
            more += 1
            continue
        away = np.abs(truth - small(picture)).mean(axis=(1, 2, 3))
        if away[number] <= away.min() + NEAR:
            right += 1
        else:
            wrong += 1
    return {"right": right, "wrong": wrong, "lacking": len(truth) - right - wrong, "more": more}


def in_words(found: dict[str, Any]) -> str:
    if "error" in found:
        return "error"
    if not (found["wrong"] or found["lacking"] or found["more"]):
        return "right"
    words = [f"{found[name]} {name}" for name in ("wrong", "lacking", "more") if found[name]]
    return ", ".join(words)


def apart(reader: str, path: Path, truth: Path, shuffled: bool) -> dict[str, Any]:
    """Compare in a process of its own, that may crash or hang."""
    command = [sys.executable, __file__, "--one", reader, str(path), str(truth), str(shuffled)]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return {"error": f"nothing for {TIMEOUT_S} s"}
    if ended.returncode:
        return {"error": (ended.stderr.strip().splitlines() or [str(ended.returncode)])[-1]}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def numbered(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture that shows its number in eight bright or dark fields, on a colour of its own."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.random.default_rng(number).integers(60, 200, 3)
    for bit in range(8):
        left = bit * width // 8
        image[height // 4 : 3 * height // 4, left : left + width // 8] = 255 * (number >> bit & 1)
    return image


def make_clips(folder: Path) -> list[Path]:
    """Make the awkward kinds, each named after what it is."""
    folder.mkdir()
    open_gop = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"
    uneven = [0, 40, 80, 120, 180, 200, 400, 440, 480, 1200, 1240, 1260, 1300, 2000]
    uneven += [2000 + 33 * k for k in range(1, 30)]
    plain = Recipe("plain.mp4", frames=60, width=128, paint=numbered, options={"bf": "2"})
    recipes = [
        plain,
        replace(plain, file="open_gop.mp4", options={"x264-params": open_gop}),
        replace(plain, file="variable_rate.mp4", frames=len(uneven), pts=uneven),
        replace(plain, file="variable_rate.mkv", frames=len(uneven), pts=uneven),
        replace(plain, file="transport_stream.ts"),
        replace(plain, file="second.ts", frames=40),
        replace(plain, file="open_gop.ts", options={"x264-params": open_gop}),
        replace(plain, file="mpeg4_b_frames.avi", codec="mpeg4"),
        replace(plain, file="program_stream.mpg", codec="mpeg2video"),
        replace(plain, file="material_exchange.mxf", codec="mpeg2video"),
        replace(plain, file="vp9.webm", codec="libvpx-vp9", options={"deadline": "realtime"}),
    ]
    made = [make(recipe, folder) for recipe in recipes]
    first, second = folder / "transport_stream.ts", folder / "second.ts"
    joined = folder / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    second.unlink()
    made.remove(second)
    cut = folder / "cut_open_gop.ts"
    _copy_from_the_second_gop(folder / "open_gop.ts", cut)
    return [*made, joined, cut]


def _copy_from_the_second_gop(source: Path, target: Path) -> None:
    """Copy packets from the second keyframe on, as a recording begins that is tuned into."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy, keys = new.add_stream_from_template(stream), 0
        for packet in old.demux(stream):
            keys += packet.is_keyframe
            if keys > 1 and packet.size:
                packet.stream = copy
                new.mux(packet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--json", type=Path, help="write the counts here too")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        reader, path, truth, shuffled = arguments.one
        print(json.dumps(compared(reader, path, np.load(truth), shuffled == "True")))
        return
    installed = {}
    for name, (package, _) in READERS.items():
        try:
            installed[name] = version(package)
        except PackageNotFoundError:
            print(f"{name} is left out: {package} is not installed", file=sys.stderr)
    print(", ".join(f"{name} {number}" for name, number in installed.items()))
    columns = [f"{name}, {way}" for name in installed for way in ("reading on", "by number")]
    print("| video | frames |", " | ".join(columns), "|")
    print("|---|---|" + "---|" * len(columns))
    report: dict[str, Any] = {"versions": installed}
    with tempfile.TemporaryDirectory() as temporary:
        paths = make_clips(Path(temporary, "clips"))
        paths += [path for folder in arguments.folders for path in sorted(folder.iterdir())]
        for path in paths:
            pictures = ours(path)
            truth = Path(temporary, "truth.npy")
            np.save(truth, pictures)
            counts = {
                f"{name}, {way}": apart(name, path, truth, way == "by number")
                for name in installed
                for way in ("reading on", "by number")
            }
            report[path.name] = {"frames": len(pictures), **counts}
            cells = [in_words(counts[column]) for column in columns]
            print(f"| `{path.name}` | {len(pictures)} |", " | ".join(cells), "|", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
