"""What FFmpeg may open: the one file that it is given, and nothing that the file names.

Some formats name other files, or addresses in a network: playlists, descriptions of broadcasts,
numbered pictures. Whoever opens one may wait for ever, or read what nobody gave. So FFmpeg is given
an open file and never a path, may use no protocol, and may take the file for no such format.
"""

import errno
import io
import re
from pathlib import PurePosixPath
from typing import BinaryIO

import av

from coreframe.tasks.video.claims import MOST_STREAMS

INDIRECT = frozenset(
    """
    hls applehttp dash imf concat webm_dash_manifest
    sdp rtp rtsp sap
    vobsub avisynth vapoursynth lavfi dvdvideo
    alsa avfoundation bktr decklink dshow fbdev gdigrab iec61883 jack kmsgrab libcdio libdc1394
    openal oss pulse sndio vfwcap video4linux2,v4l2 video4linux2 v4l2 x11grab xcbgrab android_camera
    """.split()  # noqa: SIM905 - a list of them would fill the screen
)
"""Formats of FFmpeg 8 that open something else: playlists (``hls``, ``dash``, ``imf``, ``concat``,
``webm_dash_manifest``), broadcasts (``sdp``, ``rtp``, ``rtsp``, ``sap``), subtitles beside their
index (``vobsub``), scripts (``avisynth``, ``vapoursynth``, ``lavfi``), discs and devices. That
pictures are numbered (``image2``) it reads from a name, which it is not given. ``mlv`` looks for
the rest of a recording, and MP4 for pictures in other files, by protocols that it has not."""

NO_PROTOCOL = "none"
"""An empty list would do the same in FFmpeg 8; this is not taken for an option left out."""

SEALED = {
    "protocol_whitelist": NO_PROTOCOL,
    "format_whitelist": ",".join(sorted(av.formats_available - INDIRECT)),
    "enable_drefs": "0",
    "max_streams": str(MOST_STREAMS),
}
"""Options with which every container is opened."""


class Source:
    """An open file, as FFmpeg is given it: of its name only the ending.

    By the ending FFmpeg decides where contents leave it in doubt. More of a name would be a path
    that formats build others from, or a pattern.
    """

    def __init__(self, file: BinaryIO | io.RawIOBase, name: str) -> None:
        """Read a file that was opened under a name, which may be a path or a URL."""
        self.file = file
        self.read = file.read
        suffix = PurePosixPath(name).suffix
        self.name = f"film{suffix}" if re.fullmatch(r"\.[A-Za-z0-9_-]+", suffix) else "film"

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there, or give FFmpeg's number of an error where no file has such a place."""
        try:
            return self.file.seek(offset, whence)
        except (ValueError, OverflowError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL
