"""Queries as vectors: frames of the store, pictures, words; and what is refused."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import coreframe
from coreframe.tasks.embedders.names import DESCRIPTOR
from coreframe.tasks.errors import UsageError
from coreframe.tasks.query.asked import parse_query
from coreframe.tasks.query.vectors import query_vectors, refuse_unanswerable, resolve
from coreframe.tasks.store.catalogue import Catalogue, VideoState
from coreframe.tasks.store.store import Store
from tests.runs import content, ingest
from tests.stores import make_store, walks
from tests.videos import make_audio, scenes

LENGTHS = [50, 30, 20]
NEAR = {"closed_gop.mp4": 0.998, "high_444.mp4": 0.9999, "ffv1_rgb.mkv": 1 - 1e-9}
"""Cosine of a frame and its picture at least: video rounds colours, and the first one has them at
half the size. RGB is the same to the bit."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", walks(100, 16, seed=5), LENGTHS, undecodable=(57, 58, 80))


def vectors(store: Store, *texts: str) -> np.ndarray:
    return query_vectors(store, [parse_query(text) for text in texts])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    wide = one.astype(float), other.astype(float)
    return float(wide[0] @ wide[1] / np.linalg.norm(wide[0]) / np.linalg.norm(wide[1]))


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("frame:v0.mp4@0", 0),
        ("frame:v0.mp4@1.0", 25),
        ("frame:v0.mp4@0:01.019", 25),
        ("frame:v0.mp4@1.021", 26),
        ("frame:v0.mp4@1.02", 25),  # as far from both, in floats by chance nearer to one
        ("frame:v0.mp4@2.5", 49),
        ("frame:/videos/v1.mp4@0", 50),
        ("frame:v1.mp4@0.28", 56),  # 57 and 58 cannot be decoded
        ("frame:v1.mp4@0.31", 59),
        ("frame:v2.mp4@0", 81),
    ],
)
def test_a_frame_is_the_nearest_of_its_video(text: str, row: int, store: Store) -> None:
    time = float(text.rpartition("@")[2].rpartition(":")[2])
    if text == "frame:v0.mp4@1.02":
        row = int(np.abs(np.arange(50) / 25 - time).argmin())
    assert np.array_equal(vectors(store, text), store.read_rows([row]))


def test_nothing_is_decoded_or_embedded_for_frames(store: Store) -> None:
    """Its videos are nowhere, and its embedder is none."""
    found = resolve(store, ["frame:v1.mp4@0", "frame:v0.mp4@0"], ["frame:v2.mp4@0.76"])
    assert np.array_equal(found.like, store.read_rows([50, 0]))
    assert np.array_equal(found.unlike, store.read_rows([99]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("frame:v9.mp4@0", "no such video in the corpus .*there is none of that name"),
        ("frame:v0.mp4@0:59", "its frames are from 0:00.0 to 0:02.0"),
        ("frame:v2.mp4@3.5", "its frames are from 0:00.0 to 0:00.8"),
        ("file:nowhere.png", "file:nowhere.png: there is no such file here"),
        ("text:a dog", "the store's embedder given knows no words.*CLIP and SigLIP models"),
    ],
)
def test_what_means_nothing_here_is_refused(text: str, sentence: str, store: Store) -> None:
    with pytest.raises(UsageError, match=sentence):
        vectors(store, text)


def test_a_video_that_is_gone_is_refused(store: Store) -> None:
    videos = store.read_catalogue().videos
    videos[1] = replace(videos[1], state=VideoState.MISSING)
    store.write_catalogue(Catalogue(videos))
    with pytest.raises(UsageError, match=r"frame:v1.mp4@0: no such video.*it is missing"):
        vectors(store, "frame:v1.mp4@0")


def test_what_can_never_be_answered_is_refused_early(store: Store, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.touch()
    fine = [parse_query(text) for text in ("frame:v0.mp4@0", f"file:{picture}")]
    refuse_unanswerable(DESCRIPTOR, fine)
    refuse_unanswerable("hf:some/model", [parse_query("text:a dog")])
    with pytest.raises(UsageError, match="knows no words"):
        refuse_unanswerable(DESCRIPTOR, [parse_query("text:a dog")])
    with pytest.raises(UsageError, match="no such file"):
        refuse_unanswerable(DESCRIPTOR, [parse_query("file:nowhere.png")])


@pytest.fixture(scope="module")
def folder(
    made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> Path:
    folder = tmp_path_factory.mktemp("query")
    names = ("high_444.mp4", "closed_gop.mp4", "ffv1_rgb.mkv")
    ingest([made_videos[name] for name in names], folder / "store", cluster)
    ingest([made_videos["high_444.mp4"]], folder / "cropped", cluster, crop="40:32:8:16")
    ingest([made_videos["ffv1_rgb.mkv"]], folder / "large", cluster, input_size=128)
    return folder


@pytest.mark.integration
def test_an_exported_frame_finds_itself(folder: Path) -> None:
    """Pixels as they are, not cropped again by a store that crops; at the store's input size."""
    for name in ("store", "cropped", "large"):
        with coreframe.open(folder / name) as corpus:
            frames, lattice = content(corpus._store)
            places, videos = range(3, len(frames), 17), corpus.videos["path"]
            pictures = [folder / f"{name}-{place}.png" for place in places]
            for place, picture in zip(places, pictures, strict=True):
                Image.fromarray(corpus.image(int(frames["row"][place]))).save(picture)
            found = vectors(corpus._store, *(f"file:{picture}" for picture in pictures))
            for place, own in zip(places, found, strict=True):
                assert cosine(own, lattice[place]) > NEAR[videos[frames["video"][place]]]
                similar = lattice.astype(np.int64) @ own
                best = np.flatnonzero(similar == similar.max())
                assert (lattice[best] == lattice[place]).all()


@pytest.mark.integration
def test_queries_of_all_kinds_keep_their_order(folder: Path) -> None:
    store, path = Store.open(folder / "store"), folder / "some.png"
    Image.fromarray(scenes(20, 96, 64)).save(path)
    frame, picture = "frame:closed_gop.mp4@1", f"file:{path}"
    one, other = vectors(store, frame)[0], vectors(store, picture)[0]
    mixed = vectors(store, picture, frame, picture)
    assert np.array_equal(mixed, np.stack([other, one, other]))
    assert not np.array_equal(one, other)


FORMATS: dict[str, Callable[[Image.Image, Path], object]] = {
    "png": lambda image, path: image.save(path),
    "bmp": lambda image, path: image.save(path),
    "tiff": lambda image, path: image.save(path),
    "webp": lambda image, path: image.save(path, lossless=True),
    "jpg": lambda image, path: image.save(path, quality=100, subsampling=0),
    "gif": lambda image, path: image.save(path),
    "grey.png": lambda image, path: image.convert("L").save(path),
    "alpha.png": lambda image, path: image.convert("RGBA").save(path),
    "palette.png": lambda image, path: image.convert("P").save(path),
}


@pytest.mark.integration
@pytest.mark.parametrize("ending", FORMATS)
def test_pictures_of_many_formats(ending: str, folder: Path) -> None:
    store, path = Store.open(folder / "store"), folder / f"picture.{ending}"
    image = Image.fromarray(scenes(20, 96, 64))
    FORMATS[ending](image, path)
    Image.open(path).convert("RGB").save(folder / "plain.png")
    one, other = vectors(store, f"file:{path}", f"file:{folder / 'plain.png'}")
    assert cosine(one, other) > 0.999


@pytest.mark.integration
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_photographs_are_upright(number: int, ending: str, folder: Path) -> None:
    store, path = Store.open(folder / "store"), folder / f"turned-{number}.{ending}"
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(scenes(20, 96, 64)).save(path, exif=exif, quality=100, subsampling=0)
    ImageOps.exif_transpose(Image.open(path)).save(folder / "upright.png", exif=b"")
    one, other = vectors(store, f"file:{path}", f"file:{folder / 'upright.png'}")
    assert cosine(one, other) > 0.999


@pytest.mark.integration
def test_files_that_are_no_pictures_are_refused(
    folder: Path, made_videos: dict[str, Path], tmp_path: Path
) -> None:
    store = Store.open(folder / "store")
    text, broken, moving = tmp_path / "x.txt", tmp_path / "x.png", tmp_path / "x.gif"
    text.write_text("a dog")
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(100))
    some = [Image.fromarray(scenes(number, 96, 64)) for number in (0, 10, 20)]
    some[0].save(moving, save_all=True, append_images=some[1:])
    for path, why in (
        (text, "a text"),
        (broken, "Invalid data found when processing input"),
        (make_audio(tmp_path / "x.wav"), "no picture in it"),
        (made_videos["closed_gop.mp4"], "it is a film: name one of the store's frames"),
        (moving, "it is a film"),
    ):
        with pytest.raises(UsageError, match=f"{path.name} cannot be used as a picture: {why}"):
            vectors(store, f"file:{path}")


@pytest.mark.integration
def test_an_embedder_that_is_not_here_is_told(tmp_path: Path, folder: Path) -> None:
    picture = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(picture)
    given = make_store(tmp_path / "given", walks(100, 16, seed=5), LENGTHS)
    with pytest.raises(UsageError, match=r"'given'.*A query frame:VIDEO@TIME needs none"):
        vectors(given, f"file:{picture}")
    store = Store.open(folder / "store")
    store.settings = replace(store.settings, fingerprint="earlier")
    with pytest.raises(UsageError, match="when it was earlier, and now it is descriptor"):
        vectors(store, f"file:{picture}")
