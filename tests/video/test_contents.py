"""What is a video, and what people are told of what is none or cannot be opened."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError, UsageError
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.viewing import AS_SHOWN, parse_stream_choice
from tests.ffmpeg_command import ffmpeg

MOVING = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1"]
KEY = "76a6c65c5ea762046bd749a2e632ccbb"


def command(path: Path, *options: str) -> Path:
    ffmpeg("-y", *MOVING, *options, str(path))
    return path


def told(path: Path, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        index_video(path)
    return str(caught.value)


def jpeg(size: str = "64x48") -> bytes:
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}", "-frames:v", "1"]
    return ffmpeg(*source, "-f", "mjpeg", "-")


MOVING_PICTURES = {
    "film.gif": [],
    "film.apng": ["-f", "apng"],
    "film.png": ["-f", "apng"],
    "film.avif": ["-c:v", "libaom-av1", "-cpu-used", "8"],
    "film.mjpeg": [],
    "film.jpg": ["-f", "mjpeg"],
}


@pytest.mark.integration
@pytest.mark.parametrize("name", MOVING_PICTURES)
def test_pictures_that_move_are_videos(name: str, tmp_path: Path) -> None:
    path = command(tmp_path / name, *MOVING_PICTURES[name])
    facts, index = index_video(path)
    assert len(index) == 10
    assert [p for p, _ in decode_frames(path, index, np.array([2, 9]))] == [2, 9]
    if name == "film.avif":  # the first stream is a still
        assert facts.stream_index == 1


@pytest.mark.integration
def test_mjpeg_that_ends_in_the_middle_of_a_frame_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "raw.mjpeg"
    ffmpeg("-y", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", str(path))  # of many bytes
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xff\xd8") + 1200])
    _, index = index_video(path)
    assert len(index) == 9  # of the last there is a part, which no two decodes show alike
    held = list(decode_frames(path, index, np.arange(9)))
    assert len(held) == 9


@pytest.mark.integration
@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.avif", "a.jpg", "a.mjpeg", "a.webp"])
def test_one_picture_is_a_still_image(name: str, tmp_path: Path) -> None:
    path = command(tmp_path / name, "-frames:v", "1")
    assert "a still image" in told(path, NotAVideoError)


@pytest.mark.integration
def test_animation_of_one_picture_is_a_still_image(tmp_path: Path) -> None:
    path = command(tmp_path / "a.apng", "-frames:v", "1", "-f", "apng")
    assert "a still image" in told(path, NotAVideoError)


@pytest.mark.integration
def test_lone_gif_stays_a_film_in_a_store_of_format_1(tmp_path: Path) -> None:
    path = command(tmp_path / "a.gif", "-frames:v", "1")
    assert len(index_video(path, replace(AS_SHOWN, as_players=False))[1]) == 1


@pytest.mark.integration
def test_photo_of_several_pictures_is_a_still_image(tmp_path: Path) -> None:
    photo = jpeg()
    segment = b"\xff\xe2\x00\x0aMPF\0test"
    views = tmp_path / "views.jpg"
    views.write_bytes(photo[:2] + segment + photo[2:] + photo)
    smaller = tmp_path / "smaller.jpg"
    smaller.write_bytes(photo + jpeg("32x24"))
    for path in (views, smaller):
        assert "a still image" in told(path, NotAVideoError)


@pytest.mark.integration
def test_photo_with_a_film_behind_it_says_how_to_get_that(tmp_path: Path) -> None:
    film = command(tmp_path / "film.mp4").read_bytes()
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg() + film)
    reason = told(photo, NotAVideoError)
    start = int(reason.split("tail -c +")[1].split()[0])
    taken = tmp_path / "taken.mp4"
    taken.write_bytes(photo.read_bytes()[start - 1 :])
    assert taken.read_bytes() == film


@pytest.mark.integration
def test_animations_that_ffmpeg_here_cannot_decode_are_skipped(tmp_path: Path) -> None:
    webp = command(tmp_path / "a.webp", "-c:v", "libwebp_anim")
    assert "animated WebP" in told(webp, NotAVideoError)
    jxl = command(tmp_path / "a.jxl", "-c:v", "libjxl_anim", "-f", "image2pipe")
    assert "animated JPEG XL" in told(jxl, NotAVideoError)


@pytest.mark.integration
@pytest.mark.parametrize("suffix", [".mp4", ".insv", ".lrv", ".qt", ".360", ".unheard"])
def test_missing_index_is_told_whatever_the_name(suffix: str, tmp_path: Path) -> None:
    whole = command(tmp_path / "whole.mp4").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: whole.index(b"moov") - 4])
    assert "the index (moov) is missing" in told(path, BrokenVideoError)


@pytest.mark.integration
def test_cut_index_is_told(tmp_path: Path) -> None:
    path = command(tmp_path / "cut.mp4", "-movflags", "+faststart")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") + 40])
    assert "its index (moov) is cut: 44 of" in told(path, BrokenVideoError)


@pytest.mark.integration
def test_encrypted_mp4_is_told(tmp_path: Path) -> None:
    scheme = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", KEY]
    path = command(tmp_path / "a.mp4", *scheme, "-encryption_kid", KEY)
    assert "encrypted" in told(path, BrokenVideoError)


@pytest.mark.integration
def test_encrypted_matroska_is_told(tmp_path: Path) -> None:
    path = command(tmp_path / "a.mkv", "-write_crc32", "0", "-metadata:s:v", f"title={'x' * 21}")
    name = b"\x53\x6e\x95" + b"x" * 21
    algorithm_and_key = b"\x47\xe1\x81\x05" + b"\x47\xe2\x84key1"
    encoding = b"\x50\x33\x81\x01" + b"\x50\x35\x8b" + algorithm_and_key
    encodings = b"\x6d\x80\x95" + b"\x62\x40\x92" + encoding
    data = path.read_bytes()
    assert len(encodings) == len(name)
    assert name in data
    path.write_bytes(data.replace(name, encodings))
    assert "encrypted" in told(path, BrokenVideoError)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"
NOISE = np.random.default_rng(0).bytes(5000)
SEGMENT = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n#EXT-X-ENDLIST\n"
CONTENTS = {
    "empty.mp4": (b"", BrokenVideoError, "0 bytes"),
    "empty.txt": (b"", NotAVideoError, "0 bytes"),
    "pointer.mp4": (LFS, BrokenVideoError, "git lfs pull"),
    "pointer.txt": (LFS, NotAVideoError, "git lfs pull"),
    "page.mp4": (b"<!DOCTYPE html>\n<html>404</html>", BrokenVideoError, "web page"),
    "page.ts": (b"<html>404</html>", BrokenVideoError, "web page"),
    "denied.mov": (
        b'<?xml version="1.0"?><Error><Code>x</Code></Error>',
        BrokenVideoError,
        "server",
    ),
    "list.m3u8": (SEGMENT, NotAVideoError, "a playlist"),
    "list.mp4": (SEGMENT, NotAVideoError, "a playlist"),
    "list.mpd": (b'<?xml version="1.0"?>\n<MPD type="static"/>', NotAVideoError, "a playlist"),
    "index.ts": (
        b"const one: number = 1; // \xe2\x82\xac\n" * 200,
        NotAVideoError,
        "a text",
    ),
    "go.mod": (b"module example.org/one\n\ngo 1.22\n", NotAVideoError, "a text"),
    "text.mp4": (b"no video", BrokenVideoError, "holds text"),
    "zeros.mp4": (bytes(9000), BrokenVideoError, "zeros"),
    "noise.bin": (NOISE, NotAVideoError, "no such format"),
    "noise.insv": (NOISE, BrokenVideoError, "cannot be opened"),
    "header.bin": (b"\x1aE\xdf\xa3" + bytes(40), BrokenVideoError, "Matroska"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_reason_says_what_the_file_is(name: str, tmp_path: Path) -> None:
    content, kind, words = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert words in told(path, kind)


def several(path: Path) -> Path:
    """Three films, as FFmpeg's two rules see them differently."""
    sources = []
    for size, frames in (("64x48", 10), ("96x64", 40), ("128x96", 20)):
        sources += ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=20:d={frames / 20}"]
    kept = ["-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-q:v:1", "1", "-q:v:2", "31"]
    flags = ["-disposition:0", "0", "-disposition:1", "default", "-disposition:2", "default"]
    ffmpeg("-y", *sources, *kept, *flags, str(path))
    return path


@pytest.mark.integration
def test_choice_of_film_is_told_and_followed(tmp_path: Path) -> None:
    path = several(tmp_path / "several.mp4")
    with av.open(str(path)) as container:
        best = container.streams.best("video")
        assert best is not None
        best_index = best.index
        widths = [stream.width for stream in container.streams.video]
    shown = ffmpeg("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
    for choice, number in (("best", best_index), ("largest", 2), ("0", 0), ("1", 1), ("2", 2)):
        facts, index = index_video(path, replace(AS_SHOWN, stream=choice))
        assert (facts.stream_index, facts.width) == (number, widths[number])
        assert len(index) == (10, 40, 20)[number]
        assert f"of its 3 films (0: 64x48, 1: 96x64, 2: 128x96) number {number} is" in facts.note
    assert best_index == 1
    assert len(shown) == 128 * 96  # what the command takes


@pytest.mark.integration
def test_default_stream_is_worth_five_million_pixels(tmp_path: Path) -> None:
    path = several(tmp_path / "several.mkv")
    flags = ["-disposition:0", "default", "-disposition:1", "0", "-disposition:2", "0"]
    copied = ["-map", "0", "-c", "copy", *flags]
    ffmpeg("-y", "-i", str(path), *copied, str(tmp_path / "other.mp4"))
    facts, _ = index_video(tmp_path / "other.mp4", replace(AS_SHOWN, stream="largest"))
    assert facts.width == 64


@pytest.mark.integration
def test_film_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match="--stream 3: it has 3 films"):
        index_video(several(tmp_path / "a.mp4"), replace(AS_SHOWN, stream="3"))
    one = command(tmp_path / "one.mp4")
    with pytest.raises(BrokenVideoError, match="--stream 1: it has 1 film,"):
        index_video(one, replace(AS_SHOWN, stream="1"))
    assert index_video(one)[0].note == ""


@pytest.mark.parametrize("text", ["", "worst", "-1", "1.5", "\u0664"])
def test_wrong_choice_of_film_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not best, largest"):
        parse_stream_choice(text)
