"""Every form is read back by the tool that it is for, and is the selection."""

import csv
import io
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import webdataset
from PIL import Image
from pycocotools.coco import COCO

from coreframe.tasks.datasets.chosen import read_chosen
from coreframe.tasks.datasets.embeddings import write_embeddings
from coreframe.tasks.datasets.formats import DATASET_FORMATS, export_dataset
from coreframe.tasks.datasets.webdataset import write_webdataset
from tests.datasets.selections import files_of, make_selection

Read = Callable[[Path], tuple[list[dict[str, Any]], dict[str, bytes]]]
"""From a dataset's folder: what it says of each frame, in its order, and the images by name."""


def read_imagefolder(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    cache = str(folder.parent / "cache")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)["train"]
    facts, images = [], {}
    for row in loaded.cast_column("image", datasets.Image(decode=False)):
        path = Path(row.pop("image")["path"])
        facts.append({"file_name": path.name} | row)
        images[path.name] = path.read_bytes()
    shown = loaded[0]["image"]
    with Image.open(folder / facts[0]["file_name"]) as picture:
        assert np.array_equal(np.asarray(shown), np.asarray(picture))
    return facts, images


def read_webdataset(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    urls = [str(path) for path in sorted(folder.glob("shard-*.tar"))]
    facts, images = [], {}
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        facts.append(json.loads(sample["json"]))
        (suffix,) = {"png", "jpg", "webp"} & set(sample)
        name = facts[-1]["file_name"]
        assert Path(name).suffix == f".{suffix}"
        images[name] = sample[suffix]
    return facts, images


def read_coco(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    coco = COCO(str(folder / "annotations.json"))
    assert coco.getAnnIds() == coco.getCatIds() == []
    facts, images = [], {}
    for entry in coco.loadImgs(coco.getImgIds()):
        path = folder / "images" / entry["file_name"]
        with Image.open(path) as picture:
            assert (entry.pop("width"), entry.pop("height")) == picture.size
        assert entry.pop("id") == entry["rank"] + 1
        facts.append(entry)
        images[path.name] = path.read_bytes()
    return facts, images


def read_fiftyone(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """As FiftyOne's importer of this layout does; it needs a MongoDB itself."""
    assert "version" not in json.loads((folder / "metadata.json").read_text())
    facts, images = [], {}
    for sample in json.loads((folder / "samples.json").read_text())["samples"]:
        assert not any(name.startswith("_") for name in sample)
        assert sample.pop("tags") == []
        path = folder / sample.pop("filepath")
        assert path.parent == folder / "data"
        facts.append({"file_name": path.name} | sample)
        images[path.name] = path.read_bytes()
    return facts, images


READERS: dict[str, Read] = {
    "imagefolder": read_imagefolder,
    "webdataset": read_webdataset,
    "coco": read_coco,
    "fiftyone": read_fiftyone,
}


@pytest.mark.parametrize("to", READERS)
@pytest.mark.parametrize(
    ("format", "options"),
    [("png", {}), ("jpg", {"gone": (0, 5, 17)}), ("webp", {"sequence_length": 3})],
)
def test_read_back_it_is_the_selection(
    to: str, format: str, options: dict[str, Any], tmp_path: Path
) -> None:
    made = make_selection(tmp_path, format=format, **options)
    written = export_dataset(str(made.out), to)
    assert written.place == str(made.out / to)
    assert (written.frames, written.without_image) == (len(made.images()), 18 - written.frames)
    facts, images = READERS[to](made.out / to)
    assert images == made.images()
    assert len(facts) == len(made.facts())
    for found, true in zip(facts, made.facts(), strict=True):
        assert [*map(type, found.values())] == [*map(type, true.values())]
        if to == "imagefolder":  # of a number in text pandas finds a neighbour, now and then
            found |= {k: v for k, v in true.items() if isinstance(v, float) and near(found[k], v)}
        assert [*found.items()] == [*true.items()]


def near(one: float, other: float) -> bool:
    return abs(one - other) <= np.spacing(other)


def load_embeddings(path: Path) -> tuple[np.ndarray, list[int], list[str]]:
    """As ``lightly.utils.io.load_embeddings`` 1.6 reads and checks it."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "filenames"
    assert header[-1] == "labels"
    assert all(re.fullmatch(r"embedding_\d+", name) for name in header[1:-1])
    vectors = np.array([row[1:-1] for row in rows]).astype(np.float64)
    return vectors, [int(row[-1]) for row in rows], [row[0] for row in rows]


@pytest.mark.parametrize("lines", [5, 17, 256])
def test_csv_is_what_lightly_loads(lines: int, tmp_path: Path) -> None:
    made = make_selection(tmp_path, gone=(3,))
    export_dataset(str(made.out), "csv")
    write_embeddings(read_chosen(made.out).frames, tmp_path, made.store, lines)
    exported = (made.out / "csv" / "embeddings.csv").read_bytes()
    assert (tmp_path / "embeddings.csv").read_bytes() == exported
    vectors, labels, names = load_embeddings(made.out / "csv" / "embeddings.csv")
    assert names == list(made.images())
    truth = made.store.frames_at(made.exported["row"].to_numpy())
    assert labels == truth["video"].tolist()
    lattice = made.store.read_rows(made.exported["row"].to_numpy())
    stored = lattice.astype(np.float32) / np.float32(4000)  # what Zarr's filter gives
    assert vectors.shape == (17, 16)
    assert np.array_equal(vectors.astype(np.float32), stored)


def test_metadata_csv_holds_every_digit(tmp_path: Path) -> None:
    made = make_selection(tmp_path)
    export_dataset(str(made.out), "imagefolder")
    with (made.out / "imagefolder" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, true in zip(rows, made.facts(), strict=True):
        assert row == {name: "" if v is None else str(v) for name, v in true.items()}


def test_webdataset_decodes_pictures_and_has_keys_without_dots(tmp_path: Path) -> None:
    made = make_selection(tmp_path)
    export_dataset(str(made.out), "webdataset")
    shard = str(made.out / "webdataset" / "shard-000000.tar")
    samples = list(webdataset.WebDataset(shard, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"][:7] for sample in samples] == [f"{rank:06d}_" for rank in range(18)]
    assert not any("." in sample["__key__"] for sample in samples)
    for sample, data in zip(samples, made.images().values(), strict=True):
        assert np.array_equal(sample["png"], np.asarray(Image.open(io.BytesIO(data))))
        assert sample["json"]["video"] in set(made.table["video"])


def test_shards_hold_no_more_than_they_may(tmp_path: Path) -> None:
    made = make_selection(tmp_path)
    frames = read_chosen(made.out).frames
    sizes = [len(data) for data in made.images().values()]
    for name, limits, count in (
        ("number", {"shard_frames": 5}, 4),
        ("whole", {"shard_frames": 9}, 2),
        ("bytes", {"shard_bytes": sum(sizes[:3])}, None),
        ("one", {"shard_bytes": 1}, 18),
    ):
        folder = tmp_path / name
        folder.mkdir()
        write_webdataset(frames, folder, **limits)
        facts, images = read_webdataset(folder)
        assert [fact["rank"] for fact in facts] == list(range(18))
        assert images == made.images()
        shards = sorted(path.name for path in folder.iterdir())
        assert shards == [f"shard-{number:06d}.tar" for number in range(count or len(shards))]
        if name == "bytes":
            held = [[len(data) for data in read_each(folder / shard)] for shard in shards]
            assert 1 < len(shards) < 18
            assert sum(held[0]) == max(map(sum, held)) == limits["shard_bytes"]
            for this, following in pairwise(held):
                assert sum(this) + following[0] > limits["shard_bytes"]


def read_each(shard: Path) -> list[bytes]:
    return [sample["png"] for sample in webdataset.WebDataset(str(shard), shardshuffle=False)]


@pytest.mark.parametrize("to", DATASET_FORMATS)
def test_the_same_selection_gives_the_same_bytes(to: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        made = make_selection(tmp_path / name)
        export_dataset(str(made.out), to, str(tmp_path / name / "dest"))
    first, second = (files_of(tmp_path / name / "dest") for name in ("first", "second"))
    assert first == second
