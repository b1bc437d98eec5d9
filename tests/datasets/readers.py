"""Datasets read back, each by the tools that it is for, into the same form."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import webdataset
from PIL import Image
from pycocotools.coco import COCO

Read = Callable[[Path], tuple[list[dict[str, Any]], dict[str, bytes]]]
"""From a dataset's folder: what it says of each frame, in its order, and the images by name."""


def load(builder: str, folder: Path) -> datasets.Dataset:
    """All that Hugging Face's datasets finds in a folder, which must be one split, `train`."""
    cache = str(folder.parent / "cache")
    loaded = datasets.load_dataset(builder, data_dir=str(folder), cache_dir=cache)
    assert list(loaded) == ["train"]
    return loaded["train"]


def read_imagefolder(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    loaded = load("imagefolder", folder)
    facts, images = [], {}
    for row in loaded.cast_column("image", datasets.Image(decode=False)):
        path = Path(row.pop("image")["path"])
        facts.append({"file_name": path.name} | row)
        images[path.name] = path.read_bytes()
    shown = loaded[0]["image"]
    with Image.open(folder / "train" / facts[0]["file_name"]) as picture:
        assert np.array_equal(np.asarray(shown), np.asarray(picture))
    return facts, images


def read_webdataset(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    urls = [str(path) for path in sorted(folder.glob("shard-*.tar"))]
    facts, images = [], {}
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        facts.append(json.loads(sample["json"]))
        (suffix,) = {"png", "jpg", "webp"} & set(sample)
        images[facts[-1]["file_name"]] = sample[suffix]
    return facts, images


def read_shards_as_hugging_face(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    loaded = load("webdataset", folder)
    (suffix,) = {"png", "jpg", "webp"} & set(loaded.features)
    facts, images = [], {}
    for row in loaded.cast_column(suffix, datasets.Image(decode=False)):
        facts.append(row["json"])
        images[row["json"]["file_name"]] = row[suffix]["bytes"]
    with Image.open(io.BytesIO(images[facts[0]["file_name"]])) as picture:
        assert np.array_equal(np.asarray(loaded[0][suffix]), np.asarray(picture))
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


READERS: dict[str, tuple[str, Read]] = {
    "imagefolder": ("imagefolder", read_imagefolder),
    "webdataset": ("webdataset", read_webdataset),
    "webdataset by datasets": ("webdataset", read_shards_as_hugging_face),
    "coco": ("coco", read_coco),
    "fiftyone": ("fiftyone", read_fiftyone),
}
"""By what they are called: what they read, and how. The file of embeddings has no images."""


def load_embeddings(path: Path) -> tuple[np.ndarray, list[int], list[str]]:
    """As ``lightly.utils.io.load_embeddings`` 1.6 reads and checks it."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "filenames"
    assert header[-1] == "labels"
    assert all(re.fullmatch(r"embedding_\d+", name) for name in header[1:-1])
    vectors = np.array([row[1:-1] for row in rows]).astype(np.float64)
    return vectors, [int(row[-1]) for row in rows], [row[0] for row in rows]
