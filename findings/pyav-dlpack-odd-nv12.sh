#!/usr/bin/env bash
# PyAV 18.1: the chroma plane of an NV12 frame of odd size loses its last column and line by DLPack.
#
# Expected: (17, 26, 2) of a frame of 51x33 pixels, as the plane's own width and height say, and as
# the two chroma planes of the same frame in yuv420p are exported.
# Seen: (16, 25, 2): sizes are halved and rounded down, in main memory as on a GPU, whose decoders
# give NV12 (and P010, which is treated alike). No error is raised.
# For users: VP9 and AV1 videos may have odd sizes. Frames of these are not taken from a GPU.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.0
"$place/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import av
import numpy as np

print(f"av {version('av')}")
width, height = 51, 33
image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
rgb = av.VideoFrame.from_ndarray(image, "rgb24")
shapes = {}
for form in ("yuv420p", "nv12", "p010le"):
    frame = rgb.reformat(format=form)
    shapes[form] = [np.from_dlpack(plane).shape for plane in frame.planes]
    sizes = [(plane.height, plane.width) for plane in frame.planes]
    print(f"{form}: planes of {sizes} are exported as {shapes[form]}")
whole = [(height, width), (17, 26), (17, 26)]
cut = [(height, width), (16, 25, 2)]
sys.exit(not (shapes == {"yuv420p": whole, "nv12": cut, "p010le": cut}))
PYTHON
