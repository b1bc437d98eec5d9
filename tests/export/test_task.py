"""Chosen frames as images: what all frames would take, and pictures too large for a format."""

from pathlib import Path

import pytest
from PIL import Image

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.export.task import export_frames, raise_on_failures
from coreframe.tasks.measure.task import storage_metrics
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.images import ImageFormat, PictureSettings, Resize
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.runs import ingest
from tests.videos import SMALL, Recipe, clips, make

WIDE = Recipe("wide.mkv", "ffv1", frames=3, width=17_000, height=16)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> tuple[Store, Selection]:
    """Every frame of two small videos and of one that is too wide for WebP."""
    folder = tmp_path_factory.mktemp("mixed")
    videos = clips(folder / "in", ["a", "b"])
    make(WIDE, videos)
    store, _ = ingest([videos], folder / "store", cluster)
    return store, everything(store, cluster)


def everything(store: Store, cluster: str) -> Selection:
    choice = Choice(budget=Budget(proportion=1.0), keep_exact_duplicates=True)
    return choose_frames(store, choice, "cpu", cluster)


@pytest.mark.parametrize("crop", [None, "8:8:2:4"])
@pytest.mark.parametrize(
    "picture",
    [
        PictureSettings(),
        PictureSettings(format=ImageFormat.WEBP, quality=30),
        PictureSettings(Resize.parse("16x"), ImageFormat.JPG),
    ],
)
def test_choosing_every_frame_saves_nothing(
    picture: PictureSettings, crop: str | None, cluster: str, tmp_path: Path
) -> None:
    """All frames are written as the chosen ones are, so that like is compared with like."""
    videos = clips(tmp_path / "in", ["a", "b"])
    store, _ = ingest([videos], tmp_path / "store", cluster, crop=crop)
    selection = everything(store, cluster)
    _, exported = export_frames(store, selection, tmp_path / "out", picture, cluster)
    storage = storage_metrics(store, selection.decodable, exported)
    assert storage.kept_frames == storage.all_frames == 2 * SMALL.frames
    assert storage.all_frames_exact
    assert storage.all_frames_bytes == storage.kept_frames_bytes
    assert storage.reduction_factor == 1.0
    files = (tmp_path / "out" / "frames").iterdir()
    assert sum(file.stat().st_size for file in files) == storage.kept_frames_bytes


def test_pictures_too_large_for_the_format_are_named_and_all_others_written(
    mixed: tuple[Store, Selection], cluster: str, tmp_path: Path
) -> None:
    store, selection = mixed
    webp = PictureSettings(format=ImageFormat.WEBP)
    stale = tmp_path / "frames" / "wide_000001.webp"
    stale.parent.mkdir()
    stale.touch()  # of a run that resized
    table, exported = export_frames(store, selection, tmp_path, webp, cluster)
    there = {f"frames/{path.name}" for path in (tmp_path / "frames").iterdir()}
    assert there == set(table["file"][table["video"] != WIDE.file])
    assert exported.files == len(there) == 2 * SMALL.frames
    source = next(v.source for v in store.read_catalogue().videos if v.path == WIDE.file)
    assert [failure.sentence for failure in exported.failures] == [
        f"frame {number} of {source} was not written: WebP holds at most 16,383 px a side, and the "
        "picture is 17,000 x 16 px: select again with --format png or jpg, or with --resize to at "
        "most 16,383 px"
        for number in range(WIDE.frames)
    ]
    with pytest.raises(CoreframeError) as raised:
        raise_on_failures(exported)
    sentence = exported.failures[0].sentence
    assert str(raised.value) == f"{sentence} (2 more like it)."
    storage = storage_metrics(store, selection.decodable, exported)
    assert storage.all_frames_bytes == storage.kept_frames_bytes  # what all would take so written


@pytest.mark.parametrize(
    "picture",
    [
        PictureSettings(),
        PictureSettings(format=ImageFormat.JPG),
        PictureSettings(Resize.parse("640x"), ImageFormat.WEBP),
    ],
)
def test_what_the_sentence_proposes_works(
    picture: PictureSettings, mixed: tuple[Store, Selection], cluster: str, tmp_path: Path
) -> None:
    store, selection = mixed
    table, exported = export_frames(store, selection, tmp_path, picture, cluster)
    assert not exported.failures
    raise_on_failures(exported)
    for file, video in zip(table["file"], table["video"], strict=True):
        with Image.open(tmp_path / file) as image:
            whole = WIDE.width if video == WIDE.file else SMALL.width
            assert image.width == (640 if picture.resize else whole)


def test_a_run_whose_images_are_all_written_goes_on() -> None:
    raise_on_failures(Exported())
