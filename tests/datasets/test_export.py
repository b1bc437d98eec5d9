"""Where datasets go, what is refused, and what is left as it was."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from coreframe.tasks.datasets import formats as export
from coreframe.tasks.datasets.formats import DATASET_FORMATS, export_dataset
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.export.job import ExportJob, export_job
from coreframe.tasks.output.images import PictureSettings, Resize
from tests.datasets.selections import Made, files_of, make_selection
from tests.runs import ingest
from tests.videos import clips


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_selection(tmp_path)


@pytest.mark.parametrize("to", DATASET_FORMATS)
def test_a_second_export_replaces_the_first_as_a_whole(to: str, tmp_path: Path) -> None:
    dest = tmp_path / "new" / "dest"  # nor is there a folder for it
    more, fewer = make_selection(tmp_path / "a"), make_selection(tmp_path / "b", frames=4, seed=1)
    for one in (more, fewer, fewer):
        export_dataset(str(one.out), to, str(dest))
    export_dataset(str(fewer.out), to)
    assert files_of(dest) == files_of(fewer.out / to)
    assert [path.name for path in dest.parent.iterdir()] == ["dest"]


def test_another_form_may_take_the_place(made: Made) -> None:
    for to in DATASET_FORMATS:
        export_dataset(str(made.out), to, str(made.out / "dataset"))
        export_dataset(str(made.out), to)
        assert files_of(made.out / "dataset") == files_of(made.out / to)


def test_an_empty_folder_may_be_named_and_a_link_stays_one(made: Made, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export_dataset(str(made.out), "coco", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "annotations.json").exists()


def annotate(folder: Path) -> None:
    path = folder / "annotations.json"
    path.write_text(path.read_text().replace('"categories": []', '"categories": [{"id": 1}]'))


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file added": (lambda folder: (folder / "labels.txt").touch(), "labels.txt"),
    "one inside": (lambda folder: (folder / "images" / "a.png").touch(), "images/a.png"),
    "annotations begun": (annotate, "annotations.json"),
    "no marker": (lambda folder: (folder / ".coreframe-export.json").unlink(), "annotations.json"),
    "a torn marker": (
        lambda folder: (folder / ".coreframe-export.json").write_text('{"files": '),
        "annotations.json",
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_others_wrote_is_not_replaced(case: str, made: Made) -> None:
    change, name = FOREIGN[case]
    export_dataset(str(made.out), "coco")
    change(made.out / "coco")
    before = files_of(made.out)
    with pytest.raises(UsageError, match=rf"coco holds {name}, which this command did not write"):
        export_dataset(str(made.out), "coco")
    assert files_of(made.out) == before


def test_own_folders_with_something_missing_are_replaced(made: Made) -> None:
    export_dataset(str(made.out), "coco")
    before = files_of(made.out / "coco")
    (made.out / "coco" / "annotations.json").unlink()
    export_dataset(str(made.out), "coco")
    assert files_of(made.out / "coco") == before


@pytest.mark.parametrize("place", ["out", "out/frames", "store", "."])
def test_the_selection_and_its_store_are_never_replaced(
    place: str, made: Made, tmp_path: Path
) -> None:
    before = files_of(tmp_path)
    with pytest.raises(UsageError, match=r"which this command did not write"):
        export_dataset(str(made.out), "coco", str(tmp_path / place))
    assert files_of(tmp_path) == before


def test_places_that_cannot_be(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, sentence in (
        (str(tmp_path / "file"), "file is a file: name a folder with --dest"),
        (str(tmp_path / "file" / "in"), "cannot write the dataset .*file/in: Not a directory"),
        ("s3://bucket/dataset", "s3://bucket/dataset is not a local folder"),
    ):
        with pytest.raises(UsageError, match=sentence):
            export_dataset(str(made.out), "coco", place)


@pytest.mark.parametrize("to", ["imagefolder", "webdataset"])
def test_a_full_disk_leaves_the_earlier_dataset(to: str, made: Made, tmp_path: Path) -> None:
    export_dataset(str(made.out), to)
    before = files_of(made.out)
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with (
        mock.patch.dict(export.WITHOUT_STORE, {to: full}),
        pytest.raises(CoreframeError, match=r"no space is left for .*: make room"),
    ):
        export_dataset(str(made.out), to)
    assert files_of(made.out) == before


def test_a_folder_that_cannot_be_swapped_in_leaves_the_earlier_dataset(made: Made) -> None:
    export_dataset(str(made.out), "coco")
    before = files_of(made.out)
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if source.suffix == ".tmp":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    with (
        mock.patch("os.replace", replace),
        pytest.raises(UsageError, match=r"cannot write the dataset .*: Permission denied"),
    ):
        export_dataset(str(made.out), "coco")
    assert files_of(made.out) == before


@pytest.mark.parametrize("to", ["imagefolder", "coco", "fiftyone"])
def test_images_are_links_or_else_copies(to: str, made: Made) -> None:
    places = {"imagefolder": "train", "coco": "images", "fiftyone": "data"}

    def links() -> set[int]:
        export_dataset(str(made.out), to)
        folder = made.out / to / places[to]
        return {(folder / name).stat().st_nlink for name in made.images()}

    assert links() == {2}
    with mock.patch("os.link", side_effect=OSError(errno.EXDEV, "Invalid cross-device link")):
        assert links() == {1}
    images = files_of(made.out / to / places[to])
    assert made.images().items() <= images.items()


def test_linked_images_are_files_of_their_own(made: Made, tmp_path: Path) -> None:
    """A link to a link would lead nowhere once the dataset is moved."""
    (made.out / "frames").rename(tmp_path / "elsewhere")
    (made.out / "frames").mkdir()
    for path in (tmp_path / "elsewhere").iterdir():
        (made.out / "frames" / path.name).symlink_to(Path("../../elsewhere", path.name))
    export_dataset(str(made.out), "coco", str(tmp_path / "deep" / "er" / "dataset"))
    images = list((tmp_path / "deep" / "er" / "dataset" / "images").iterdir())
    assert len(images) == 18
    assert not any(path.is_symlink() for path in images)


def test_images_written_anew_leave_datasets_as_they_are(cluster: str, tmp_path: Path) -> None:
    videos = clips(tmp_path / "in", ["a"])
    store, _ = ingest([videos], tmp_path / "store", cluster)
    (video,) = store.read_catalogue().videos
    frame = store.frames().iloc[2]
    image, linked = tmp_path / "image.png", tmp_path / "linked.png"
    for picture in (PictureSettings(), PictureSettings(resize=Resize.parse("8x8"))):
        job = ExportJob(
            store=store.path,
            video=video.video,
            source=video.source,
            fingerprint=video.fingerprint,
            frame_index=(int(frame["frame_index"]),),
            digest=(int(frame["digest"]),),
            targets=(str(image),),
            measure=(False,),
            viewing=store.settings.viewing,
            picture=picture,
        )
        assert export_job(job).files == 1
        if not linked.exists():
            os.link(image, linked)
            before = linked.read_bytes()
    assert image.read_bytes() != before
    assert linked.read_bytes() == before


def test_missing_images_are_said_so(made: Made) -> None:
    files = made.table["file"].tolist()
    (made.out / files[4]).unlink()
    (made.out / files[9]).unlink()
    with pytest.raises(
        CoreframeError, match=rf"{files[4]}, the image of frame \d .* is missing \(1 more like it"
    ):
        export_dataset(str(made.out), "coco")
    assert not (made.out / "coco").exists()


def test_no_image_at_all_is_said_so(tmp_path: Path) -> None:
    made = make_selection(tmp_path, gone=tuple(range(18)))
    with pytest.raises(CoreframeError, match=r"none of the 18 frames in .* has an image"):
        export_dataset(str(made.out), "coco")


def test_an_image_that_is_none_is_said_so(made: Made) -> None:
    (made.out / made.table["file"][3]).write_text("no picture")
    with pytest.raises(CoreframeError, match=r"cannot be read as an image"):
        export_dataset(str(made.out), "coco")


def test_no_selection_is_said_so(made: Made, tmp_path: Path) -> None:
    for out in (tmp_path / "nowhere", made.out / "run.json"):
        with pytest.raises(UsageError, match=r"there is no selection in .*: make one with"):
            export_dataset(str(out), "coco")
    path = made.out / "selection.parquet"
    made.table.drop(columns="pts").to_parquet(path)
    with pytest.raises(UsageError, match=r"selection.parquet has no column pts: select again"):
        export_dataset(str(made.out), "coco")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"selection.parquet cannot be read .*: select again"):
        export_dataset(str(made.out), "coco")


def test_columns_to_come_are_passed_on(made: Made) -> None:
    made.table.assign(mood="calm").to_parquet(made.out / "selection.parquet")
    export_dataset(str(made.out), "coco")
    images = json.loads((made.out / "coco" / "annotations.json").read_text())["images"]
    assert {image["mood"] for image in images} == {"calm"}


def test_wrong_wishes_are_said_so(made: Made) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'yolo': use imagefolder, .* or csv"):
        export_dataset(str(made.out), "yolo")
    with pytest.raises(UsageError, match=r"imagefolder needs no store: leave --store s out"):
        export_dataset(str(made.out), "imagefolder", store="s")


def test_csv_without_its_store_is_said_so(made: Made, tmp_path: Path) -> None:
    shutil.move(tmp_path / "store", tmp_path / "moved")
    with pytest.raises(UsageError, match=r"store, the store that .*run.json names, is not there"):
        export_dataset(str(made.out), "csv")
    with pytest.raises(UsageError, match=r"no store at nowhere"):
        export_dataset(str(made.out), "csv", store="nowhere")
    (made.out / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"run.json does not say which store"):
        export_dataset(str(made.out), "csv")
    export_dataset(str(made.out), "csv", store=str(tmp_path / "moved"))
    assert len(pd.read_csv(made.out / "csv" / "embeddings.csv")) == 18


def test_csv_of_another_store_is_refused(made: Made, tmp_path: Path) -> None:
    small = make_selection(tmp_path / "small", frames=1)
    catalogue = small.store.read_catalogue()
    catalogue.update(int(made.store.frames_at(made.table["row"].to_numpy())["video"][0]), path="z")
    small.store.write_catalogue(catalogue)
    with pytest.raises(UsageError, match=r"row \d+ of the store .* is not frame \d of .*--store"):
        export_dataset(str(made.out), "csv", store=small.store.path)
    for block in small.store.committed_blocks():
        small.store.take_back(block)
    with pytest.raises(UsageError, match=r"row \d+ of the store .* is not frame"):
        export_dataset(str(made.out), "csv", store=small.store.path)
    assert not (made.out / "csv").exists()
