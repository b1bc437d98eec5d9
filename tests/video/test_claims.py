"""Files that ask for more than they hold, or than any machine should give."""

import io
import resource
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.video.claims import MOST_FRAMES, MOST_PIXELS, refuse_claims
from coreframe.tasks.video.indexing import index_video
from tests.mp4s import box, fragmented, mp4
from tests.videos import Recipe, make

MILLION = 10**6


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "png")
    return file.getvalue()


PICTURE = png(64, 64)
CLAIMS = {
    "a million samples of no bytes": mp4(PICTURE, MILLION, 0),
    "a million samples of one byte": mp4(PICTURE, MILLION, 1),
    "twenty million in chunks": mp4(PICTURE, 20_000, 1, chunks=1000),
    "as many as there are numbers": mp4(PICTURE, 2**32 - 1, 1),
    "a million in a fragment": fragmented(MILLION, 1),
    "a thousand million in a fragment": fragmented(20 * MILLION, 50),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_tables_that_claim_frames_without_bytes_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.mp4"
    path.write_bytes(CLAIMS[case] if "chunks" not in case else box(b"wide") + CLAIMS[case])
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BrokenVideoError, match=r"it claims .* frames or more in .* bytes"):
        index_video(path)
    assert time.monotonic() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_one_place_listed_again_and_again_is_no_film(tmp_path: Path) -> None:
    """Each sample has an entry of 4 bytes, and all are the same picture."""
    path = tmp_path / "again.mp4"
    path.write_bytes(mp4(PICTURE, 1, len(PICTURE), chunks=100_000))
    assert path.stat().st_size < 8 * 100_000
    began = time.monotonic()
    with pytest.raises(BrokenVideoError, match="at least 8 bytes a frame"):
        index_video(path)
    assert time.monotonic() - began < 5


def test_packets_are_counted_while_they_are_read(tmp_path: Path) -> None:
    """Of a format whose frames no table counts: a picture that says only that nothing changes."""
    path = make(Recipe("still.mkv", frames=40), tmp_path)
    _, index = index_video(path, most_frames=40)
    assert len(index) == 40
    with pytest.raises(BrokenVideoError, match="has 40 frames or more, and 39 are allowed: raise"):
        index_video(path, most_frames=39)


def test_a_file_that_lists_too_many_frames_is_not_opened(tmp_path: Path) -> None:
    path = make(Recipe("many.mp4", frames=40), tmp_path)
    with path.open("rb") as file:
        assert refuse_claims(file, 40).size_bytes == path.stat().st_size
        assert file.tell() == 0
        with pytest.raises(BrokenVideoError, match="40 frames or more, and 39 are allowed"):
            refuse_claims(file, 39)


def test_a_cut_file_keeps_the_frames_that_it_holds(tmp_path: Path) -> None:
    """Its index comes first and lists, in 4 bytes each, far more frames than came."""
    recipe = Recipe("whole.mp4", frames=600, width=32, height=32, gop=1000)
    whole = make(recipe, tmp_path)
    path = tmp_path / "cut.mp4"
    with (
        av.open(str(whole)) as old,
        av.open(str(path), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 900])
    assert path.stat().st_size < 8 * 600 * 3
    facts, index = index_video(path)
    assert 0 < len(index) < 600
    assert facts.missing + len(index) >= 600


def test_pictures_beyond_any_size_are_refused(tmp_path: Path) -> None:
    path, side_px = tmp_path / "large.mp4", 12_000
    assert side_px**2 > MOST_PIXELS
    large = png(side_px, side_px)
    path.write_bytes(mp4(large, 1, len(large), side_px=side_px))
    with pytest.raises(BrokenVideoError, match=r"more than 134,217,728 pixels, .* make them small"):
        index_video(path)
    path.write_bytes(mp4(large, 1, len(large)))  # only the picture itself says so
    with pytest.raises(BrokenVideoError, match="more than 134,217,728 pixels"):
        index_video(path)


def test_an_index_of_countless_parts_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "parts.mp4"
    path.write_bytes(mp4(PICTURE, 1, len(PICTURE)) + box(b"free") * 1000)
    index_video(path)
    monkeypatch.setattr("coreframe.tasks.video.mp4.MOST_BOXES", 1000)
    with pytest.raises(BrokenVideoError, match="its index has more than 1,000 parts"):
        index_video(path)


def test_too_many_streams_are_told(tmp_path: Path) -> None:
    path = tmp_path / "streams.mp4"
    path.write_bytes(mp4(PICTURE, 1, len(PICTURE), tracks=1001))
    with pytest.raises(BrokenVideoError, match="it has more than 1,000 streams"):
        index_video(path)


def test_pictures_in_other_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "reference.mov"
    path.write_bytes(mp4(PICTURE, 1, len(PICTURE), named=b"file:///somewhere/else.mov\0"))
    with pytest.raises(NotAVideoError, match="a reference movie"):
        index_video(path)


def test_what_was_made_up_here_is_sound_where_it_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    path.write_bytes(mp4(PICTURE, 1, len(PICTURE), chunks=3))
    facts, index = index_video(path, most_frames=MOST_FRAMES)
    assert (len(index), facts.codec, facts.width) == (3, "png", 64)
    assert np.array_equal(index.pts, [0, 1, 2])
