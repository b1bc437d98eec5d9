"""Opening video files with PyAV, the same way for indexing, decoding and export."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.storage.buckets import is_url
from coreframe.tasks.storage.files import exists, open_file
from coreframe.tasks.video.mp4 import PacketsOnly, media_data
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

NO_VIDEO_FORMATS = {"image2", "image2pipe", "tty", "ico", "webp", "apng", "hls", "dash", "concat"}
"""Formats in which FFmpeg sees a "video stream" but people see a picture, a text or a playlist."""

GENERATE_PTS = 1
"""FFmpeg's AVFMT_FLAG_GENPTS."""

STILL_BRANDS = {"avif", "mif1", "heic", "heix", "heim", "heis"}
"""MP4 files that are pictures (AVIF, HEIC)."""

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in """
    264 265 3g2 3gp asf avi dv f4v flv h264 h265 hevc ivf m1v m2t m2ts m2v m4v mjpeg mjpg mk3d mkv
    mov mp4 mpeg mpg mts mxf nut obu ogm ogv rm rmvb ts vob webm wmv y4m
    """.split()  # noqa: SIM905 - a list of forty would fill the screen
)
"""A file with one of these endings that cannot be opened is a broken video, not "no video"."""


@contextmanager
def open_video(
    path: str | Path, viewing: Viewing = AS_SHOWN, *, packets_only: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best video stream, as the ``ffmpeg`` command would choose it.

    It is decoded by one thread: workers decode different parts of a video at once, and with more
    threads libavcodec leaves parts of a damaged frame unwritten, which then show whatever the
    buffer held before.

    Args:
        path: the file or the URL of an object, which is read by ranges. Playlists cannot lead
            elsewhere.
        viewing: which stream, and whether the bitstream's cropping is applied in full.
        packets_only: nothing will be decoded; what packets hold need not be read.

    Raises:
        NotAVideoError: no moving picture in it.
        BrokenVideoError: it looks like a video but cannot be opened.
        OSError: it cannot be read at all.
    """
    if not is_url(path):
        path = Path(path).absolute()  # so that no part of a name reads as a protocol
    with ExitStack() as stack:
        source: Any = str(path)
        if is_url(path) or packets_only:
            file = stack.enter_context(open_file(source))
            hollow = media_data(file) if packets_only else []
            if hollow:
                source = PacketsOnly(file, hollow)
            elif is_url(path):
                source = file
        options = {"protocol_whitelist": "file"}
        try:
            container = av.open(source, metadata_errors="ignore", container_options=options)
        except av.FFmpegError as error:
            if isinstance(error, OSError) and not exists(str(path)):
                raise
            if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES:
                reason = f"cannot be opened: {error.strerror or error}"
                raise BrokenVideoError(reason) from error
            raise NotAVideoError("FFmpeg knows no such format") from error
        stack.enter_context(container)
        if viewing.as_players:  # PyAV has times made up where there are none, and shuffled ones
            container.flags &= ~GENERATE_PTS
        yield container, _video_stream(container, viewing)


def packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[Packet[VideoStream] | None]":
    """The packets of a stream from here on, and None at the end, which flushes a decoder.

    Packets without content, by which some formats say that nothing has changed, are passed over: a
    decoder would take them for the end. PyAV 18.1 raises IndexError at the end of a file in which
    a stream appeared that it did not begin with.
    """
    with suppress(IndexError):
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    yield None


def _video_stream(container: InputContainer, viewing: Viewing) -> VideoStream:
    kind = container.format.name
    brand = container.metadata.get("major_brand", "").strip()
    if kind in NO_VIDEO_FORMATS or kind.endswith("_pipe") or brand in STILL_BRANDS:
        raise NotAVideoError(f"a still image, a text or a playlist ({brand or kind})")
    best = container.streams.best("video")
    if not isinstance(best, VideoStream):
        held = ", ".join(sorted({other.type for other in container.streams}))
        raise NotAVideoError(f"no video stream in it ({held or 'no stream at all'})")
    films = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not films:
        raise NotAVideoError("its only picture is a cover")
    stream = films[0] if _is_cover(best) else best
    if stream.codec_context is None:
        raise BrokenVideoError(f"no decoder for its codec (stream {stream.index})")
    stream.codec_context.thread_count = 1
    if viewing.as_players:  # or libavcodec leaves the left part of what is to be cropped
        stream.codec_context.flags |= Flags.unaligned.value
    return stream


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
