"""What a file is by its own bytes, where FFmpeg does not tell, and what its owner may do."""

import io
import re
from pathlib import PurePosixPath
from typing import BinaryIO

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in """
    264 265 266 360 3g2 3gp amv asf av1 avi avs2 avs3 bik braw cine crm dav divx dv dvr-ms evo f4v
    flv gxf h261 h263 h264 h265 h266 hevc ifv insv ismv ivf lrv lvf m1v m2t m2ts m2v m4v mjpeg mjpg
    mk3d mkv mod moflex mov mp4 mp4v mpe mpeg mpg mpv mqv mts mve mxf nsv nut obu ogm ogv qt r3d rm
    rmvb roq smk swf thp tod tp trp ts vc1 vob vro vvc webm wmv wtv y4m
    """.split()  # noqa: SIM905 - a list of a hundred would fill the screen
)
"""A file with one of these endings that cannot be opened is a broken video, not "no video"."""

TEXT_SUFFIXES = frozenset([".ts", ".mts", ".mod", ".avs2", ".avs3", ".mve", ".tp", ".360"])
"""Of these, those that texts bear, too: TypeScript, Go modules, models, templates."""

HEAD_BYTES = 4096
"""What is looked at of a file that FFmpeg does not know."""

JPEG_BYTES = 64 * 1024 * 1024
"""How far into a JPEG a second picture, or a film behind it, is looked for."""

MOVIE_BOXES = frozenset([b"ftyp", b"moov", b"mdat", b"moof", b"styp"])
"""Kinds of MP4 boxes of which one that a file begins with says that it is such a file."""

OTHER_BRANDS = {
    **dict.fromkeys([b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"hevc"], "a picture"),
    **dict.fromkeys([b"M4A ", b"M4B ", b"M4P "], "sound"),
}
"""What MP4 files hold that hold no video, by their first brand."""

MAGIC = {
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"FLV\x01": "FLV",
    b"0&\xb2u\x8ef\xcf\x11": "ASF (WMV)",
    b"\x00\x00\x01\xba": "MPEG program stream",
    b"\x06\x0e+4\x02\x05\x01\x01": "MXF",
    b".RMF": "RealMedia",
    b"YUV4MPEG2": "YUV4MPEG",
}
"""How files of video formats begin."""

NO_INDEX = (
    "the index (moov) is missing: the recording was not finished or the file is cut. Copy it again "
    "if the original is whole; else a repair tool such as untrunc, given a sound file of the same "
    "camera, may rebuild the index"
)

ENCRYPTED = "encrypted: it can be indexed once it is decrypted with its key"

NO_STREAM = "no stream at all is in it"

PLAYLIST = "a playlist, which holds no pictures itself: give the files that it names"

BROADCAST = (
    "a description of a broadcast (SDP), which holds no pictures itself: give a recording of it"
)

REFERENCES = "a reference movie, whose pictures lie in other files: give those"

SUBTITLES = "an index of subtitles (VobSub), which holds no pictures of a film"

PLAYLISTS = ("#extm3u", "ffconcat", "[playlist]", "<asx", "<smil", "[reference]", "rtsptext")
"""How these texts begin, in small letters: M3U and HLS, FFmpeg's, PLS, ASX, SMIL, redirections."""

PLAYLIST_ELEMENTS = ("<mpd", "<compositionplaylist", "<playlist", "<smil", "<asx")
"""The XML that is a playlist: DASH, IMF, XSPF, and the same again."""

PLAYLIST_SUFFIXES = frozenset([".m3u", ".m3u8", ".pls", ".asx", ".wpl", ".xspf"])


def unopened(file: BinaryIO, name: str, told: str) -> BrokenVideoError | NotAVideoError:
    """What to say of a file that FFmpeg cannot open.

    Args:
        file: to be read from its beginning.
        name: its path or URL; the ending tells what it should be.
        told: FFmpeg's words, or `NO_STREAM`.
    """
    suffix = PurePosixPath(name).suffix.lower()
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    expected = suffix in VIDEO_SUFFIXES
    if not head:
        why = "the file is empty (0 bytes): copy it again"
        return BrokenVideoError(why) if expected else NotAVideoError("the file is empty (0 bytes)")
    text = _text(head)
    if text is not None:
        return _of_text(text, suffix)
    if head[4:8] in MOVIE_BOXES:
        other = OTHER_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
        if other:
            return NotAVideoError(f"{other}, and it cannot be opened: {told}")
        return BrokenVideoError(f"cannot be opened: {_movie(file, size_bytes, told)}")
    known = next((form for start, form in MAGIC.items() if head.startswith(start)), None)
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        known = "AVI"
    if known:
        return BrokenVideoError(
            f"cannot be opened: it begins as {known} does, but is cut or damaged there ({told})"
        )
    if not expected:
        return NotAVideoError(told if told == NO_STREAM else "FFmpeg knows no such format")
    if not any(head):
        return BrokenVideoError(
            f"cannot be opened: it begins with {len(head):,} zeros of {size_bytes:,} bytes, as "
            "unfinished copies do: copy it again"
        )
    return BrokenVideoError(f"cannot be opened: {told}")


def _text(head: bytes) -> str | None:
    """The beginning of a text; None where it is none."""
    for encoding, mark in (("utf-16", b"\xff\xfe"), ("utf-16", b"\xfe\xff")):
        if head.startswith(mark):
            return head[: len(head) // 2 * 2].decode(encoding, "replace")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return None
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the last character may be cut
        return head[: error.start].decode("utf-8-sig") if error.start > len(head) - 4 else None


def _of_text(text: str, suffix: str) -> BrokenVideoError | NotAVideoError:
    expected = suffix in VIDEO_SUFFIXES
    start = text.lstrip().lower()
    xml = start.startswith("<?xml") and any(one in start for one in PLAYLIST_ELEMENTS)
    if start.startswith(PLAYLISTS) or xml or suffix in PLAYLIST_SUFFIXES:
        return NotAVideoError(PLAYLIST)
    if start.startswith("v=0") and "\nm=" in start:
        return NotAVideoError(BROADCAST)
    if start.startswith("# vobsub"):
        return NotAVideoError(SUBTITLES)
    instead = ""
    if start.startswith("version https://git-lfs.github.com/"):
        instead = "a pointer of Git LFS, not the file itself: fetch that with git lfs pull"
    elif start.startswith(("/annex/objects/", "../.git/annex/", ".git/annex/")):
        instead = "a pointer of git-annex, not the file itself: fetch that with git annex get"
    elif start.startswith(("<!doctype html", "<html")):
        instead = "a web page (HTML), such as a server's answer in place of the file: get it again"
    elif start.startswith("<?xml") and "<error>" in start:
        instead = "a server's error message (XML) in place of the file: get it again"
    if instead and expected:
        return BrokenVideoError(f"cannot be opened: {instead}")
    if expected and suffix not in TEXT_SUFFIXES:
        return BrokenVideoError("cannot be opened: it holds text, not a video")
    named = f", though its name ends in {suffix}" if expected else ""
    return NotAVideoError(instead or f"a text{named}")


def _movie(file: BinaryIO, size_bytes: int, told: str) -> str:
    """What is wrong with an MP4 file: walks the boxes that it consists of."""
    place = 0
    while place + 8 <= size_bytes:
        file.seek(place)
        box = file.read(16)
        length = int.from_bytes(box[:4], "big")
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        length = length or size_bytes - place
        if box[4:8] == b"moov":
            if place + length > size_bytes:
                return f"its index (moov) is cut: {size_bytes - place:,} of {length:,} bytes came"
            return f"its index (moov) cannot be read ({told})"
        if length < 8:
            break
        place += length
    return NO_INDEX


def is_animated_webp(file: BinaryIO) -> bool:
    """Whether it is WebP with more than one picture."""
    file.seek(0)
    head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)


def is_jpeg_film(file: BinaryIO) -> bool:
    """Whether JPEG pictures of one size follow one another.

    Not those of one photo (CIPA DC-007, the Multi-Picture Format): thumbnails, gain maps, views.
    """
    file.seek(0)
    data = file.read(JPEG_BYTES)
    first = _jpeg(data, 0)
    if first is None or first.of_several:
        return False
    begin = data.find(b"\xff\xd8\xff", first.end, first.end + HEAD_BYTES)
    second = _jpeg(data, begin) if begin >= 0 else None
    return second is not None and second.size == first.size


def film_behind(file: BinaryIO) -> int | None:
    """Where in a picture's file an MP4 file begins (a motion photo); None where none does."""
    file.seek(0)
    data = file.read(JPEG_BYTES)
    first = _jpeg(data, 0)
    place = first.end if first else 0
    while first and (place := data.find(b"ftyp", place)) >= 0:
        length = int.from_bytes(data[place - 4 : place], "big")
        if 16 <= length <= 256 and length % 4 == 0 and data[place + 4 : place + 8].isascii():
            return place - 4
        place += 4
    return None


class _Jpeg:
    """One JPEG picture in some bytes."""

    def __init__(self, size: bytes, end: int, *, of_several: bool) -> None:
        self.size = size
        self.end = end
        self.of_several = of_several


def _jpeg(data: bytes, place: int) -> _Jpeg | None:
    """The picture that begins there, cut or not (ITU-T T.81, annex B); None where none does."""
    if data[place : place + 3] != b"\xff\xd8\xff":
        return None
    place += 2
    size, of_several = b"", False
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xE2 and data[place + 4 : place + 8] == b"MPF\0":
            of_several = True
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = data[place + 5 : place + 9]
        place += 1 if marker == 0xFF else 2 + length
        if marker == 0xDA:  # what follows holds no FF D9 but at its end
            break
    if not size:
        return None
    end = data.find(b"\xff\xd9", place)
    return _Jpeg(size, len(data) if end < 0 else end + 2, of_several=of_several)
