"""Opening video files with PyAV, the same way for indexing, decoding and export."""

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path

import av
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.storage.files import open_file
from coreframe.tasks.video.claims import MOST_PIXELS, MOST_STREAMS, refuse_claims
from coreframe.tasks.video.contents import (
    ENCRYPTED,
    NO_STREAM,
    film_behind,
    is_animated_webp,
    is_jpeg_film,
    unopened,
)
from coreframe.tasks.video.mp4 import MP4_FORMATS, PacketsOnly, media_data
from coreframe.tasks.video.sealed import SEALED, Source
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing, parse_stream_choice

TEXT_FORMATS = {"tty"}
STILL_FORMATS = {"image2", "image2pipe", "ico", "webp"}
"""Formats in which FFmpeg sees a "video stream" but people see a text or a picture."""

JPEG_FORMATS = {"jpeg_pipe", "image2"}
"""As which FFmpeg may open pictures in JPEG that follow one another."""

COUNTED_FORMATS = {"gif", "apng"}
"""Formats of which a file may hold one picture or a film."""

END_OF_JPEG = b"\xff\xd9"

GENERATE_PTS = 1
"""FFmpeg's AVFMT_FLAG_GENPTS."""

STILL_BRANDS = {"avif", "avis", "mif1", "msf1", "heic", "heix", "heim", "heis", "hevc", "hevx"}
"""MP4 files of pictures (AVIF, HEIC): only streams of several pictures are films."""

SMALL_PICTURES = {"max_pixels": str(MOST_PIXELS)}
"""libavcodec gives no picture of more: what a bitstream says of its size need not be what its
container said."""

DEFAULT_BONUS_PX = 5_000_000
"""By which the ``ffmpeg`` command prefers a stream that is marked as the default."""


@contextmanager
def open_video(
    path: str | Path,
    viewing: Viewing = AS_SHOWN,
    *,
    packets_only: bool = False,
    most_frames: int | None = None,
    accelerator: HWAccel | None = None,
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and one of its films: that which FFmpeg thinks best, or as the viewing says.

    It is decoded by one thread: workers decode different parts of a video at once, and with more
    threads libavcodec leaves parts of a damaged frame unwritten, which then show whatever the
    buffer held before.

    Args:
        path: the file or the URL of an object, which is read by ranges. No other is opened,
            whatever it says; see `coreframe.tasks.video.sealed`.
        viewing: which stream (see `parse_stream_choice`), and whether the bitstream's cropping is
            applied in full.
        packets_only: nothing will be decoded; what packets hold need not be read.
        most_frames: that the file may claim; None where that was looked at before.
        accelerator: a device's decoder instead of libavcodec's own.

    Raises:
        NotAVideoError: no moving picture in it.
        BrokenVideoError: it looks like a video but cannot be opened, or has not as many films as
            the choice supposes.
        OSError: it cannot be read at all.
        av.FFmpegError: the accelerator cannot be used.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_file(str(path)))
        if most_frames is not None:
            refuse_claims(file, most_frames)
        hollow = media_data(file) if packets_only else []
        source = Source(PacketsOnly(file, hollow) if hollow else file, str(path))
        container = stack.enter_context(_opened(source, path, accelerator=accelerator))
        form = _real_format(container, path, viewing)
        if form is not None:
            container = stack.enter_context(_opened(source, path, form, accelerator))
        if viewing.as_players:  # PyAV has times made up where there are none, and shuffled ones
            container.flags &= ~GENERATE_PTS
        yield container, _video_stream(container, viewing)


@contextmanager
def open_picture(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file of this machine that should hold one picture, in any format that FFmpeg reads.

    Raises:
        NotAVideoError: nothing to see in it, or several pictures.
        BrokenVideoError: it cannot be opened.
        OSError: it cannot be read at all.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_file(str(path)))
        container = stack.enter_context(_opened(Source(file, str(path)), path))
        if container.format.name in TEXT_FORMATS or not container.streams.video:
            raise NotAVideoError("no picture in it")
        if _brand(container) in STILL_BRANDS and len(container.streams.video) > 1:
            # FFmpeg gives the tiles of which phones put pictures together one by one
            raise NotAVideoError(
                "several pictures, or tiles of one, as phones write HEIC: convert it to PNG or JPEG"
            )
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise BrokenVideoError("no decoder for its codec")
        stream.codec_context.options = SMALL_PICTURES
        stream.codec_context.thread_count = 1
        yield container, stream


def lists_keyframes(container: InputContainer) -> bool:
    """Whether only the file's index tells keyframes: packets may not be read; see `PacketsOnly`."""
    source = None if container.file is None else container.file.file
    read = source.file if isinstance(source, Source) else None
    return isinstance(read, PacketsOnly) and container.format.name in MP4_FORMATS


def packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[Packet[VideoStream] | None]":
    """The packets of a stream from here on, and None at the end, which flushes a decoder.

    Packets without content, by which some formats say that nothing has changed, are passed over: a
    decoder would take them for the end. PyAV 18.1 raises IndexError at the end of a file in which
    a stream appeared that it did not begin with. Of JPEG pictures one after the other that end in
    the middle of one, that one is left out: its lower part would be what its memory held before.

    Raises:
        BrokenVideoError: it is encrypted.
    """
    jpegs = container.format.name == "mjpeg"
    before: Packet[VideoStream] | None = None
    with suppress(IndexError):
        for packet in container.demux(stream):
            if packet.has_sidedata("encryption_info"):
                raise BrokenVideoError(ENCRYPTED)
            if not packet.size:
                continue
            if not jpegs:
                yield packet
            elif before is not None:
                yield before
            before = packet
    if jpegs and before is not None and bytes(before).rstrip(b"\0").endswith(END_OF_JPEG):
        yield before
    yield None


def stream_note(container: InputContainer, stream: VideoStream) -> str:
    """Which of several films is used, and how another is chosen; "" where there is but one."""
    films = _films(container)
    if len(films) < 2:
        return ""
    sizes = ", ".join(f"{number}: {film.width}x{film.height}" for number, film in enumerate(films))
    return (
        f"of its {len(films)} films ({sizes}) number {films.index(stream)} is used: --stream "
        "largest, or a number, takes another in a new store"
    )


def _opened(
    source: Source,
    path: str | Path,
    form: str | None = None,
    accelerator: HWAccel | None = None,
) -> InputContainer:
    """Open what was found at a path, as FFmpeg knows it or in a format.

    Raises:
        as `open_video`.
    """
    source.seek(0)
    try:
        container = av.open(
            source,
            "r",
            format=form,
            metadata_errors="ignore",
            options=SMALL_PICTURES,
            container_options=SEALED,
            hwaccel=accelerator,
        )
        if container.streams:
            return container
        container.close()
        told = NO_STREAM
    except av.FFmpegError as error:
        if accelerator is not None:  # it may be that which failed, not the file
            raise
        if error.errno == errno.ENOMEM:  # so FFmpeg says that there are too many
            raise BrokenVideoError(
                f"it has more than {MOST_STREAMS:,} streams, or asks for more memory than there "
                "is: take its film out (ffmpeg -max_streams 9999 -i FILE -map 0:v -c copy NEW)"
            ) from error
        told = str(error.strerror or error)
    with open_file(str(path)) as file:
        raise unopened(file, str(path), told)


def _real_format(container: InputContainer, path: str | Path, viewing: Viewing) -> str | None:
    """The format as which a file that may be one picture is to be opened again, or None.

    Raises:
        NotAVideoError: it is one picture.
    """
    kind = container.format.name
    if kind in JPEG_FORMATS:
        with open_file(str(path)) as file:
            if is_jpeg_film(file):
                return "mjpeg"
            start = film_behind(file)
        if start is not None:
            raise NotAVideoError(
                f"a still image with a film behind it: tail -c +{start + 1} FILE > FILM.mp4 gets it"
            )
    elif kind == "webp_pipe":
        with open_file(str(path)) as file:
            if is_animated_webp(file):
                raise NotAVideoError(
                    "an animated WebP, which the FFmpeg in PyAV cannot decode: turn it into GIF or "
                    "APNG first"
                )
    elif kind in COUNTED_FORMATS and viewing.as_players:  # 1e0a6dd took a lone GIF for a film
        with suppress(av.FFmpegError):
            some = (packet for packet in container.demux(video=0) if packet.size)
            if len(list(islice(some, 2))) < 2:
                raise NotAVideoError(f"a still image ({kind})")
        return kind
    return None


def _films(container: InputContainer) -> list[VideoStream]:
    """The streams that are neither covers nor, in a picture's file, pictures."""
    films = [stream for stream in container.streams.video if not _is_cover(stream)]
    if _brand(container) in STILL_BRANDS:
        films = [stream for stream in films if stream.frames > 1]
    return films


def _brand(container: InputContainer) -> str:
    return container.metadata.get("major_brand", "").strip()


def _refuse_what_is_no_film(container: InputContainer) -> None:
    """Raise NotAVideoError, unless there is a film."""
    kind = container.format.name
    if kind in TEXT_FORMATS:
        raise NotAVideoError(f"a text ({kind})")
    if kind in STILL_FORMATS or kind.endswith("_pipe"):
        raise NotAVideoError(f"a still image ({kind.removesuffix('_pipe')})")
    if not container.streams.video:
        held = ", ".join(sorted({other.type for other in container.streams}))
        raise NotAVideoError(f"no video stream in it ({held})")
    if kind == "jpegxl_anim" and container.streams.video[0].codec_context is None:
        raise NotAVideoError(
            "an animated JPEG XL, which the FFmpeg in PyAV cannot decode: turn it into APNG first, "
            "as djxl does"
        )
    if not _films(container):
        brand = _brand(container)
        still = (
            f"a still image ({brand})" if brand in STILL_BRANDS else "its only picture is a cover"
        )
        raise NotAVideoError(still)


def _video_stream(container: InputContainer, viewing: Viewing) -> VideoStream:
    _refuse_what_is_no_film(container)
    stream = _chosen(container, parse_stream_choice(viewing.stream))
    if "enc_key_id" in stream.metadata:  # of Matroska; MP4's packets tell
        raise BrokenVideoError(ENCRYPTED)
    if stream.codec_context is None:
        raise BrokenVideoError(f"no decoder for its codec (stream {stream.index})")
    stream.codec_context.options = SMALL_PICTURES
    stream.codec_context.thread_count = 1
    if viewing.as_players:  # or libavcodec leaves the left part of what is to be cropped
        stream.codec_context.flags |= Flags.unaligned.value
    return stream


def _chosen(container: InputContainer, choice: str | int) -> VideoStream:
    """Raises BrokenVideoError where there are too few films."""
    films = _films(container)
    if isinstance(choice, int):
        if choice >= len(films):
            held = f"{len(films)} film{'s' * (len(films) > 1)}"
            raise BrokenVideoError(
                f"--stream {choice}: it has {held}, counted from 0: choose best, largest or less"
            )
        return films[choice]
    if choice == "largest":
        return max(films, key=_appeal_px)
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in films else films[0]


def _appeal_px(stream: VideoStream) -> int:
    """By which the ``ffmpeg`` command chooses; see `map_auto_video` in its ffmpeg_mux_init.c."""
    size_px = 0 if stream.codec_context is None else stream.width * stream.height
    is_default = bool(stream.disposition & av.stream.Disposition.default)
    return size_px + DEFAULT_BONUS_PX * is_default


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
