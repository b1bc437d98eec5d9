#!/usr/bin/env bash
# PyAV 18.1.0 opens every file with FFmpeg's flag GENPTS, which makes up presentation times where a
# file has none. Of H.264 with B-frames in AVI, which stores the order of decoding only, the decoder's
# frames then come in the right order with times that go back and forth.
#
# Expected: times that rise, as the ffmpeg command (and libavformat without the flag) gives them, from
# the decoding times.
# Seen: times such as 1, 2, 4, 5, 3, 7, 6. With the flag taken from `container.flags` before the first
# packet is read, no frame has a presentation time of its own, and `frame.dts` rises by one a frame.
# Source: av/container/core.py of PyAV 18.1.0 sets AVFMT_FLAG_GENPTS for every container.
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

import av
import numpy as np

with av.open("b_frames.avi", "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"bf": "3"})
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    for number in range(40):
        image = np.full((64, 96, 3), 6 * number, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
    container.mux(stream.encode(None))


def times(made_up):
    with av.open("b_frames.avi") as container:
        if not made_up:
            container.flags &= ~1  # AVFMT_FLAG_GENPTS
        frames = list(container.decode(video=0))
        brightness = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
        return [frame.pts for frame in frames], [frame.dts for frame in frames], brightness


pts, _, brightness = times(made_up=True)
print("PyAV", av.__version__, "frames in order:", brightness == sorted(brightness))
print("pts as PyAV opens the file:", pts[:12])
without, dts, _ = times(made_up=False)
print("pts without GENPTS:", without[:12], "dts:", dts[:12])
known = [one for one in dts if one is not None]
shuffled = pts != sorted(pts)
same = brightness == sorted(brightness) and shuffled and known == sorted(known)
sys.exit(0 if same and set(without) == {None} else 1)
PYTHON
