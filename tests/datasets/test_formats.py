"""Every form is read back by the tool that it is for, and is the selection."""

import io
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import webdataset
from PIL import Image

from coreframe.tasks.datasets.chosen import read_chosen
from coreframe.tasks.datasets.embeddings import write_embeddings
from coreframe.tasks.datasets.formats import DATASET_FORMATS, export_dataset
from coreframe.tasks.datasets.webdataset import write_webdataset
from tests.datasets.readers import READERS, load, load_embeddings, read_webdataset
from tests.datasets.selections import NUMBERS, files_of, make_selection


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("png", {}),
        ("jpg", {"gone": (0, 5, 17), "preselected": 9}),
        ("webp", {"sequence_length": 3, "preselected": 0}),
        ("png", {"preselected": 18, "names": NUMBERS}),
    ],
)
def test_read_back_it_is_the_selection(
    reader: str, format: str, options: dict[str, Any], tmp_path: Path
) -> None:
    made = make_selection(tmp_path, format=format, **options)
    to, read = READERS[reader]
    written = export_dataset(str(made.out), to)
    assert written.place == str(made.out / to)
    assert (written.frames, written.without_image) == (len(made.images()), 18 - written.frames)
    facts, images = read(made.out / to)
    assert images == made.images()
    missing = math.nan if to == "imagefolder" else -1.0
    true = made.facts(missing)
    assert [[*map(type, row.values())] for row in facts] == [[*map(type, r.values())] for r in true]
    assert repr(facts) == repr(true)  # NaN does not equal itself


def test_what_a_column_is_does_not_depend_on_its_first_rows(tmp_path: Path) -> None:
    """datasets 5.2 takes five samples of the first shard for all, and 10,000 lines of CSV."""
    features = []
    for number, preselected in enumerate((0, 7, 18)):
        made = make_selection(tmp_path / str(number), preselected=preselected)
        for to in ("imagefolder", "webdataset"):
            export_dataset(str(made.out), to)
        chosen = read_chosen(made.out)
        shards = tmp_path / str(number) / "shards"
        shards.mkdir()
        write_webdataset(chosen, shards, shard_frames=6)
        whole = load("webdataset", made.out / "webdataset").features
        assert load("webdataset", shards).features == whole
        assert load("webdataset", shards).num_rows == 18
        for shard in sorted(shards.iterdir()):
            files = {"data_files": str(shard), "cache_dir": str(tmp_path / "cache")}
            assert datasets.load_dataset("webdataset", **files)["train"].features == whole
        features.append((whole, load("imagefolder", made.out / "imagefolder").features))
    assert features[0] == features[1] == features[2]
    assert features[0][0]["json"]["radius"] == datasets.Value("float64")


@pytest.mark.parametrize("to", ["coco", "fiftyone"])
def test_json_has_the_same_types_in_every_row(to: str, tmp_path: Path) -> None:
    made = make_selection(tmp_path, preselected=7)
    made.table.assign(time_s=1.0).to_parquet(made.out / "selection.parquet")
    export_dataset(str(made.out), to)
    file, field = {"coco": ("annotations", "images"), "fiftyone": ("samples", "samples")}[to]
    path = made.out / to / f"{file}.json"
    rows = json.loads(path.read_text(), parse_constant=pytest.fail)[field]
    assert len({tuple((name, type(value)) for name, value in row.items()) for row in rows}) == 1
    assert None not in rows[0].values()
    assert path.read_text().count('"time_s": 1.0') == 18
    files = {"data_files": str(path), "field": field, "cache_dir": str(tmp_path / "cache")}
    assert datasets.load_dataset("json", **files)["train"].num_rows == 18


def test_images_of_several_formats_are_one_column_of_shards(tmp_path: Path) -> None:
    """A selection that is kept may have been extended with another --format."""
    made = make_selection(tmp_path)
    for file in made.table["file"][6:]:
        path = made.out / file
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".jpg"))
        path.unlink()
    files = made.table["file"].where(made.table.index < 6, made.table["file"].str[:-3] + "jpg")
    made.table.assign(file=files).to_parquet(made.out / "selection.parquet")
    export_dataset(str(made.out), "webdataset")
    for read in (read for to, read in READERS.values() if to == "webdataset"):
        facts, images = read(made.out / "webdataset")
        assert [made.out / "frames" / fact["file_name"] for fact in facts] == [
            made.out / file for file in files
        ]
        for fact in facts:
            path = made.out / "frames" / fact["file_name"]
            data = images[path.name]
            assert data.startswith(b"\x89PNG")
            assert (data == path.read_bytes()) == (path.suffix == ".png")
            shown = np.asarray(Image.open(io.BytesIO(data)))
            assert np.array_equal(shown, np.asarray(Image.open(path)))


@pytest.mark.parametrize("lines", [5, 17, 256])
def test_embeddings_are_what_lightly_loads(lines: int, tmp_path: Path) -> None:
    made = make_selection(tmp_path, gone=(3,))
    export_dataset(str(made.out), "csv")
    write_embeddings(read_chosen(made.out), tmp_path, made.store, lines)
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


def test_embeddings_are_numbers_to_every_reader(tmp_path: Path) -> None:
    made = make_selection(tmp_path, names=NUMBERS)
    export_dataset(str(made.out), "csv")
    loaded = load("csv", made.out / "csv")
    assert loaded.num_rows == 18
    types = [one.dtype.removeprefix("large_") for one in loaded.features.values()]
    assert types == ["string", *["float64"] * 16, "int64"]
    assert loaded["filenames"][:] == list(made.images())


def test_pandas_reads_the_metadata(tmp_path: Path) -> None:
    made = make_selection(tmp_path, names=NUMBERS)
    export_dataset(str(made.out), "imagefolder")
    read = pd.read_parquet(made.out / "imagefolder" / "train" / "metadata.parquet")
    assert read["file_name"].tolist() == list(made.images())
    pd.testing.assert_frame_equal(
        read.drop(columns="file_name"), made.exported.drop(columns="file")
    )


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
    chosen = read_chosen(made.out)
    sizes = [len(data) for data in made.images().values()]
    for name, limits, count in (
        ("number", {"shard_frames": 5}, 4),
        ("whole", {"shard_frames": 9}, 2),
        ("bytes", {"shard_bytes": sum(sizes[:3])}, None),
        ("one", {"shard_bytes": 1}, 18),
    ):
        folder = tmp_path / name
        folder.mkdir()
        write_webdataset(chosen, folder, **limits)
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
