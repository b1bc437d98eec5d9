"""FFmpeg opens the file that it is given, and no other."""

import os
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.storage.files import open_file
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.sealed import INDIRECT, SEALED
from tests.opened import never_opened

SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
VOBSUB = "# VobSub index file, v7 (do not modify this line!)\ntimestamp: 00:00:01:101, filepos: 0\n"
TEXTS = {
    "hls.m3u8": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "a playlist",
    ),
    "hls.mp4": ("#EXTM3U\n#EXTINF:9,\nfile:{other}\n", "a playlist"),
    "list.m3u": ("{other}\n", "a playlist"),
    "list.ffconcat": ("ffconcat version 1.0\nfile {other}\n", "a playlist"),
    "list.xspf": ('<?xml version="1.0"?><playlist>{other}</playlist>', "a playlist"),
    "cast.sdp": (SDP, "a description of a broadcast"),
    "words.idx": (VOBSUB, "an index of subtitles"),
}


@pytest.fixture
def other(made_videos: dict[str, Path], tmp_path: Path) -> Path:
    """A file that is not given, where each of the others looks for one."""
    path = tmp_path / "other.ts"
    path.write_bytes(made_videos["transport.ts"].read_bytes())
    for name in ("words.sub", "img001.png", "rest.M00"):
        os.link(path, tmp_path / name)
    return path


@pytest.mark.parametrize("name", TEXTS)
def test_playlists_lead_nowhere(name: str, other: Path, tmp_path: Path) -> None:
    content, words = TEXTS[name]
    path = tmp_path / name
    path.write_text(content.format(other=other))
    began = time.monotonic()
    with never_opened(other), pytest.raises(NotAVideoError, match=words):
        index_video(path)
    assert time.monotonic() - began < 5


def test_a_name_is_no_pattern(other: Path, tmp_path: Path) -> None:
    path = tmp_path / "img%03d.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    with never_opened(other), pytest.raises(NotAVideoError, match="a still image"):
        index_video(path)


def test_the_rest_of_a_recording_is_not_looked_for(other: Path, tmp_path: Path) -> None:
    path = tmp_path / "rest.MLV"
    header = b"MLVI" + struct.pack("<I8s", 52, b"v2.0") + bytes(8) + struct.pack("<HH", 0, 2)
    path.write_bytes(header.ljust(52, b"\0") + b"NULL" + struct.pack("<I", 16) + bytes(8))
    with never_opened(other), pytest.raises((NotAVideoError, BrokenVideoError)):
        index_video(path)


def test_no_format_that_opens_others_is_allowed() -> None:
    allowed = set(SEALED["format_whitelist"].split(","))
    assert not allowed & INDIRECT
    assert {"hls", "concat", "sdp", "rtsp", "vobsub"} <= av.formats_available & INDIRECT
    assert {"mov", "matroska", "mpegts", "avi"} <= allowed


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, words in (
        (tmp_path / "pipe.mp4", r"a pipe \(FIFO\), not a file"),
        (Path("/dev/null"), "a device, not a file"),
        (tmp_path, "a folder, not a file"),
    ):
        with pytest.raises(OSError, match=words):
            open_file(str(path))
        with pytest.raises(OSError, match=words):
            index_video(path)
