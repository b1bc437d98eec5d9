#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): to open an MP4 of H.264 a picture of it is decoded, though its header says
# all that is asked, and FFmpeg's limits of probing change nothing.
#
# Expected: opening reads the header, a millisecond or so; at the latest with `probesize=32` and
# `analyzeduration=1` ("how many bytes, and microseconds, to look at").
# Seen: opening a 1080p file takes many times as long as opening it with the decoder told to skip all
# frames, and the limits make no difference: avformat_find_stream_info decodes a picture all the same.
# Whoever reads a video in many short parts, as a cluster does, pays that for each of them.
#
# Exits with 0 while that is so, and with 1 when it has changed. Needs bash, Python 3.11 and a network.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import av
import numpy as np

rng = np.random.default_rng(1)
with av.open("large.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"preset": "fast"})
    stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
    for number in range(30):
        image = rng.integers(0, 256, (1080, 1920, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
    container.mux(stream.encode(None))


def opening_ms(options, first_frame=False):
    """The least of some tries, so that other work on the machine does not count."""
    tries = []
    for _ in range(15):
        began = time.perf_counter()
        with av.open("large.mp4", options=options) as container:
            container.streams.video[0].thread_count = 1
            if first_frame:
                next(container.decode(video=0))
        tries.append(1000 * (time.perf_counter() - began))
    return min(tries)


found_ms = {
    "as it is": opening_ms({}),
    "limited": opening_ms({"probesize": "32", "analyzeduration": "1"}),
    "skip_frame=all": opening_ms({"skip_frame": "all"}),
    "with the first frame": opening_ms({}, first_frame=True),
}
print("PyAV", av.__version__, "ms to open:", {way: round(ms, 2) for way, ms in found_ms.items()})
slow = found_ms["as it is"] > 5 * found_ms["skip_frame=all"]
unlimited = found_ms["limited"] > 0.7 * found_ms["as it is"]
sys.exit(0 if slow and unlimited else 1)
PYTHON
