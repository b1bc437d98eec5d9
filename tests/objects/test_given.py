"""Boxes of files are found again in the store, and what is left out is counted."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coreframe.tasks.datasets.formats import export_dataset
from coreframe.tasks.errors import UsageError
from coreframe.tasks.objects.given import read_boxes
from coreframe.tasks.objects.matching import Corpus, Skip, Skipped, added, matched
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.objects import BOXES_SCHEMA, Boxes
from tests.datasets.selections import NAMES, NUMBERS, make_selection
from tests.objects.corpus import write_csv
from tests.stores import make_store, walks

FRAME_COLUMNS = ["row", "video", "frame_index", "time_s"]
COLUMNS = ["video", "frame_index", "x", "y", "width", "height"]


def corpus_of(store: Any, **settings: Any) -> Corpus:
    """With pictures of 640 x 480, 25 a second."""
    videos = {
        video.video: replace(video, width=640, height=480, duration_s=video.rows / 25)
        for video in store.read_catalogue().videos
    }
    made = replace(store.settings, **settings)
    return Corpus(read_corpus(store, FRAME_COLUMNS), videos, made)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    lattice = walks(50, 8, seed=1)
    store = make_store(tmp_path_factory.mktemp("given") / "s", lattice, [20, 30], undecodable=(24,))
    return corpus_of(store)


def find(path: Path, corpus: Corpus) -> tuple[pd.DataFrame, Skipped]:
    skipped = Skipped()
    return matched(str(path), read_boxes(str(path)), corpus, skipped), skipped


@pytest.mark.parametrize("names", [NAMES, NUMBERS])
@pytest.mark.parametrize("told", ["all", "file names", "a folder before them"])
def test_a_coco_export_with_annotations_is_read_back(
    names: list[str], told: str, tmp_path: Path
) -> None:
    made = make_selection(tmp_path, names=names)
    export_dataset(str(made.out), "coco", str(tmp_path / "coco"))
    path = tmp_path / "coco" / "annotations.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 7, "name": "car"}]
    for image in content["images"]:
        half = [image["width"] / 4, image["height"] / 4, image["width"] / 2, image["height"] / 2]
        content["annotations"].append(
            {"id": image["id"], "image_id": image["id"], "category_id": 7, "bbox": half}
        )
    if told != "all":  # as tools leave it that know COCO alone
        keys = ("id", "file_name", "width", "height")
        content["images"] = [{key: image[key] for key in keys} for image in content["images"]]
    if told == "a folder before them":
        for image in content["images"]:
            image["file_name"] = f"train/images/{image['file_name']}"
    path.write_text(json.dumps(content))
    found, skipped = find(path, corpus_of(made.store))
    assert not skipped.count
    assert found["row"].tolist() == sorted(made.exported["row"])
    assert (found[["x", "y", "width", "height"]].to_numpy() == [160, 120, 320, 240]).all()
    assert set(found["label"]) == {"car"}
    assert found["score"].isna().all()


def test_frames_are_found_by_index_and_by_time(corpus: Corpus, tmp_path: Path) -> None:
    rows = [
        ["v1.mp4", 3, "", 0, 0, 640, 480],
        ["v0.mp4", "", 0.2, 10.5, 20, 30.25, 40],
        ["v0.mp4", "", 0.219, 1, 2, 30, 40],  # half a step from the frames beside it is 0.02 s
        ["v0.mp4", "", -0.019, 1, 2, 30, 40],
        ["v1.mp4", "", 0.02, 1, 2, 30, 40],  # between two: the earlier
        ["v0.mp4", "", 0.781, 1, 2, 30, 40],  # 0.021 s after the last
        ["v1.mp4", "", 0.16, 1, 2, 30, 40],  # of the frame that cannot be decoded
    ]
    path = write_csv(tmp_path / "b.csv", rows, [*COLUMNS[:2], "time_s", *COLUMNS[2:]])
    found, skipped = find(path, corpus)
    assert found["row"].tolist() == [0, 5, 5, 20, 23]
    assert found["x"].tolist() == [1, 10.5, 1, 1, 0]
    assert skipped.count == {Skip.NO_FRAME: 2}
    assert skipped.first[Skip.NO_FRAME] == f"{path}, line 7"


def test_file_names_of_videos_whose_names_are_alike(tmp_path: Path) -> None:
    made = make_selection(
        tmp_path, names=["a b.mp4", "a_b.mp4", "A_B.mp4", *("c.mp4", "d.mp4", "e.mp4")]
    )
    corpus, path = corpus_of(made.store), tmp_path / "boxes.json"
    names = {Path(file).name: row for file, row in made.exported[["file", "row"]].to_numpy()}
    assert sum("~" in name for name in names) > 3

    def boxes(files: list[str]) -> None:
        images = [{"id": number, "file_name": name} for number, name in enumerate(files)]
        box = [0, 0, 640, 480]
        annotations = [{"id": n, "image_id": n, "bbox": box} for n in range(len(files))]
        path.write_text(json.dumps({"images": images, "annotations": annotations}))

    boxes(list(names))
    assert find(path, corpus)[0]["row"].tolist() == sorted(names.values())
    boxes([re.sub(r"~\d+", "", name) for name in names])  # as before the second one came
    found, skipped = find(path, corpus)
    alone = [row for name, row in names.items() if name[0] in "cde"]
    capital = [row for name, row in names.items() if name.startswith("A_B~")]
    assert found["row"].tolist() == sorted([*alone, *capital])
    assert skipped.count == {Skip.NO_FRAME: len(names) - len(alone) - len(capital)}


@pytest.mark.parametrize(("sampling", "reach_s"), [("all", 0.02), ("2 fps", 0.25)])
def test_a_time_reaches_half_a_sampling_step(
    sampling: str, reach_s: float, corpus: Corpus, tmp_path: Path
) -> None:
    sampled = replace(corpus, settings=replace(corpus.settings, sampling=sampling))
    columns = ["video", "time_s", *COLUMNS[2:]]
    last_s = 19 / 25
    for beyond_s, count in ((-0.001, 1), (0.001, 0)):
        rows = [["v0.mp4", time_s, 0, 0, 20, 20] for time_s in (0, last_s + reach_s + beyond_s)]
        found, _ = find(write_csv(tmp_path / "b.csv", rows, columns), sampled)
        assert found["row"].tolist() == [0] + [19] * count


def test_what_cannot_be_used_is_counted_with_the_first_of_a_kind(
    corpus: Corpus, tmp_path: Path
) -> None:
    rows = [
        ["v0.mp4", 1, 600, 400, 200, 200],
        ["v0.mp4", 1, 630, 400, 200, 200],
        ["v0.mp4", 1, -5, -5, 21, 21],
        ["v0.mp4", 1, -5, -5, 20.5, 30],
        ["v0.mp4", 1, 640, 0, 20, 20],
        ["v0.mp4", 1, 0, -20, 20, 20],
        ["v0.mp4", 1, "nan", 0, 20, 20],
        ["v0.mp4", 1, 0, "x", 20, 20],
        ["v0.mp4", 1, 0, 0, "inf", 20],
        ["v0.mp4", 99, 0, 0, 20, 20],
        ["other.mp4", 1, 0, 0, 20, 20],
        ["v0.mp4", "", 0, 0, 20, 20],
        ["v0.mp4", 1.5, 0, 0, 20, 20],
        ["v0.mp4", 1, 50, 50, -20, 40],
    ]
    path = write_csv(tmp_path / "b.csv", rows, COLUMNS)
    found, skipped = find(path, corpus)
    assert found[["x", "y", "width", "height"]].to_numpy().tolist() == [
        [600, 400, 40, 80],
        [0, 0, 16, 16],
    ]
    lines = {Skip.SMALL: 3, Skip.OUTSIDE: 6, Skip.NO_NUMBER: 8, Skip.NO_FRAME: 11}
    assert skipped.count == {
        Skip.SMALL: 3,
        Skip.OUTSIDE: 2,
        Skip.NO_NUMBER: 3,
        Skip.NO_FRAME: 4,
    }
    assert skipped.first == {kind: f"{path}, line {line}" for kind, line in lines.items()}
    assert f"3 boxes under 16 px a side left out, the first in {path}, line 3" in (
        skipped.sentences()
    )


def test_a_crop_of_the_store_is_what_boxes_are_in(corpus: Corpus, tmp_path: Path) -> None:
    cropped = replace(corpus, settings=replace(corpus.settings, crop="100:80:300:200"))
    rows = [["v0.mp4", 1, 10, 70, 200, 200], ["v0.mp4", 2, 0, 0, 100, 80]]
    found, skipped = find(write_csv(tmp_path / "b.csv", rows, COLUMNS), cropped)
    assert found[["x", "y", "width", "height"]].to_numpy().tolist() == [[0, 0, 100, 80]]
    assert skipped.count == {Skip.SMALL: 1}  # 10 px of it are seen


def test_the_same_box_is_added_once(corpus: Corpus, tmp_path: Path) -> None:
    columns = [*COLUMNS, "label", "score"]
    rows = [
        ["v0.mp4", 3, 0.1, 0, 20, 20, "car", 0.5],
        ["v0.mp4", 1, 0, 0, 20, 20, "", ""],
        ["v0.mp4", 3, 0.1, 0, 20, 20, "car", 0.9],
        ["v0.mp4", 3, 0.1, 0, 20, 20, "van", 0.9],
    ]
    path = write_csv(tmp_path / "b.csv", rows, columns)
    found, skipped = find(path, corpus)
    boxes = added(Boxes(BOXES_SCHEMA.empty_table(), 0), found, skipped)
    assert boxes.table["row"].to_pylist() == [1, 3, 3]
    assert boxes.table["label"].to_pylist() == ["", "car", "van"]
    score = boxes.table["score"]
    assert score.null_count == 0
    assert np.isnan(score[0].as_py())
    assert skipped.count == {Skip.KNOWN: 1}
    more = [*rows, ["v0.mp4", 2, 0, 0, 20, 20, "car", 0.5]]
    found, skipped = find(write_csv(path, more, columns), corpus)
    after = added(boxes, found, skipped)
    assert after.planned == 4
    assert after.table.slice(0, 3).to_pandas().equals(boxes.table.to_pandas())
    assert after.table["row"].to_pylist() == [1, 3, 3, 2]
    assert skipped.count == {Skip.KNOWN: 4}


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "no columns": ("b.csv", b"video,x\n", "no column y and no column width"),
    "no frame": ("b.csv", b"video,x,y,width,height\n", "no column frame_index"),
    "no boxes": ("b.csv", b"video,frame_index,x,y,width,height\n", "lists no box"),
    "nothing": ("b.csv", b"", "cannot read the boxes in .*b.csv"),
    "no json": ("b.json", b"{", "cannot read the boxes in .*b.json"),
    "results alone": ("b.json", b"[]", "has no `images` and `annotations`"),
    "a picture": ("b.png", b"\x89PNG\r\n", "neither CSV nor JSON"),
    "none matches": (
        "boxes",
        b"video,frame_index,x,y,width,height\nx.mp4,1,0,0,9,9\n",
        r"none of the 1 boxes in .*boxes can be used \(1 of frames that the store does not hold; "
        r"the first: .*boxes, line 2\): name videos",
    ),
    "a box of three": (
        "b",
        b'{"images": [], "annotations": [{"bbox": [1, 2, 3]}]}',
        "cannot read the boxes",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_without_boxes_is_refused_in_a_sentence(
    kind: str, corpus: Corpus, tmp_path: Path
) -> None:
    name, data, sentence = REFUSED[kind]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        find(tmp_path / name, corpus)


@pytest.mark.parametrize(
    "change", [lambda d: b"\xef\xbb\xbf" + d, lambda d: d.replace(b"\n", b"\r\n")]
)
def test_csv_as_other_systems_write_it(
    change: Callable[[bytes], bytes], corpus: Corpus, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "boxes", [["v0.mp4", 1, 0, 0, 20, 20]], COLUMNS)
    path.write_bytes(change(path.read_bytes()))
    assert find(path, corpus)[0]["row"].tolist() == [1]
