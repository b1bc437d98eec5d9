#!/usr/bin/env bash
# PyAV 18.1: frame.rotation gives a horizontally mirrored video the number of one that is upside down.
#
# Expected: frame.rotation says how to turn the picture. A mirror is not a turn, so for a mirrored
# video it is 0, and something else says that it is mirrored.
# Seen: a horizontal flip in the display matrix reads -180, as half a turn does; a vertical flip reads
# 0, as an upright video does; a turn of 30 degrees reads 29. Only the matrix itself, in
# frame.side_data, tells them apart: a mirror's determinant is negative.
# For users: what turns frames by frame.rotation shows a front camera's mirrored video upside down.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
    av==18.1.0 numpy==2.4.0 imageio-ffmpeg==0.6.0
cd "$place"
"$place/venv/bin/python" - <<'PYTHON'
import struct
import subprocess
import sys
from importlib.metadata import version

import av
import imageio_ffmpeg
from av.sidedata.sidedata import Type

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SEEN = {
    "half a turn": (["-display_rotation", "180"], -180, False),
    "horizontal flip": (["-display_hflip"], -180, True),
    "vertical flip": (["-display_vflip"], 0, True),
    "30 degrees": (["-display_rotation", "30"], 29, False),
}


def ffmpeg(*arguments: str) -> None:
    subprocess.run([FFMPEG, "-v", "error", "-y", *arguments], check=True)


source = "testsrc=size=160x120:rate=10:duration=0.5"
ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "plain.mp4")
print(f"av {version('av')}, files made by ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
as_described = True
for name, (options, rotation, mirrored) in SEEN.items():
    ffmpeg(*options, "-i", "plain.mp4", "-c", "copy", "turned.mp4")
    with av.open("turned.mp4") as container:
        frame = next(container.decode(video=0))
        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
        a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
        found = frame.rotation, a * d - b * c < 0
    print(f"{name}: frame.rotation {found[0]}, mirrored by its matrix: {found[1]}")
    as_described &= found == (rotation, mirrored)
sys.exit(not as_described)
PYTHON
