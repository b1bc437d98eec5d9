#!/usr/bin/env bash
# PyAV 18.1: reformat() of a 10-bit 4:2:0 video to 16-bit RGB puts colours half a pixel beside where
# the ffmpeg command puts them.
#
# Expected: the same integers, as both use libswscale with the same kernel, and as 8-bit video gives.
# Seen: only if the chroma lies in the middle ("center"). Nearly all video has it at the left, which
# the frame says (and PyAV does not show); libswscale does not look there. The filter "scale", which
# the command uses, tells it; through PyAV's filter graph the integers are the command's.
# For users: at edges of strong colours single values differ by a third of the range.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
    av==18.1.0 numpy==2.4.0 imageio-ffmpeg==0.6.0
cd "$place"
"$place/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import imageio_ffmpeg
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments: str) -> bytes:
    command = [FFMPEG, "-v", "error", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def by_filter(frame: av.VideoFrame) -> np.ndarray:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    scale, form = graph.add("scale", "flags=bicubic:threads=1"), graph.add("format", "rgb48le")
    graph.link_nodes(source, scale, form, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull().to_ndarray()


print(f"av {version('av')}, ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
differ = {}
for place, number in {"left": 0, "center": 1}.items():
    ten_bits = ["-pix_fmt", "yuv420p10le", "-c:v", "libx264", "-x264-params", f"chromaloc={number}"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.1", *ten_bits, "deep.mp4")
    raw = ffmpeg("-i", "deep.mp4", "-frames:v", "1", "-pix_fmt", "rgb48le", "-f", "rawvideo", "-")
    seen = np.frombuffer(raw, "<u2").reshape(64, 96, 3).astype(int)
    with av.open("deep.mp4") as container:
        frame = next(container.decode(video=0))
    plain = frame.reformat(format="rgb48le", interpolation=Interpolation.BICUBIC).to_ndarray()
    differ[place] = [int(np.abs(one - seen).max()) for one in (plain, by_filter(frame))]
    print(f"chroma {place}: differs from ffmpeg by reformat() {differ[place][0]}, by the filter "
          f"{differ[place][1]} (of 65535)")
sys.exit(not (differ["left"][0] > 1000 and differ["center"][0] == 0 == differ["left"][1]))
PYTHON
