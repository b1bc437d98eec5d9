"""From videos to every form and back through its reader, whatever the videos are called."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from coreframe.tasks.datasets.formats import DATASET_FORMATS, export_dataset
from coreframe.tasks.export.task import export_frames
from coreframe.tasks.output.images import PictureSettings
from coreframe.tasks.output.selection_table import write_selection
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from tests.datasets.readers import READERS, load, load_embeddings
from tests.output.made import make_metrics, make_run
from tests.runs import ingest
from tests.videos import clips, sequential_rgb

SPLITS = ["train", "test", "validation", "valid", "val", "dev", "eval", "training", "testing"]
NAMES = [
    *(f"{name}.mp4" for name in SPLITS),
    *("test_clip.mp4", "a-test.mp4", "my.val.mp4", "train/test.mp4", "test/1.mp4", "data/dev.mp4"),
    *("__test__.mp4", "logs.eval", "007", "2024-01-01", "null"),
]
"""What Hugging Face's datasets takes for splits, logs or caches, and what readers of text take for
numbers, dates or nothing."""

PRESELECTED = 7
"""More than the samples from which datasets takes the types."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> Path:
    """An output folder with frames of all these videos."""
    folder = tmp_path_factory.mktemp("read-back")
    made, videos = clips(folder / "made", [f"{n}" for n in range(len(NAMES))]), folder / "videos"
    for number, name in enumerate(NAMES):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made / f"{number}.mp4", videos / name)
    store, _ = ingest([videos], folder / "store", cluster)
    names = {video.video: video.path for video in store.read_catalogue().videos}
    assert sorted(names.values()) == sorted(NAMES)
    labelled = store.frames().sample(PRESELECTED, random_state=1)
    labelled = labelled.assign(video=labelled["video"].map(names))
    labelled[["video", "frame_index"]].to_csv(folder / "labelled.csv", index=False)
    choice = Choice(budget=Budget(n_samples=40), preselected=str(folder / "labelled.csv"))
    selection = choose_frames(store, choice, "cpu", cluster)
    out = folder / "out"
    table, exported = export_frames(store, selection, out, PictureSettings(), cluster)
    assert exported.files == len(table) == 40 + PRESELECTED
    write_selection(out, table)
    (out / "run.json").write_text(make_run(store, {}).text())
    (out / "metrics.json").write_text(make_metrics(table["row"].tolist()).text())
    for to in DATASET_FORMATS:
        export_dataset(str(out), to)
    return out


@pytest.mark.parametrize("reader", READERS)
def test_every_frame_comes_back_with_all_that_is_known_of_it(reader: str, out: Path) -> None:
    to, read = READERS[reader]
    facts, images = read(out / to)
    true = pd.read_parquet(out / "selection.parquet")
    assert set(true["video"]) == set(NAMES)
    files = [str(Path("frames", row["file_name"])) for row in facts]
    assert files == true["file"].tolist()
    assert images == {Path(file).name: (out / file).read_bytes() for file in true["file"]}
    found = pd.DataFrame(facts).drop(columns="file_name")
    true = true.drop(columns="file")
    if to != "imagefolder":
        true = true.fillna(-1.0)
    pd.testing.assert_frame_equal(found, true, check_dtype=False, check_exact=True)


def test_every_embedding_comes_back(out: Path) -> None:
    true = pd.read_parquet(out / "selection.parquet")
    vectors, _, names = load_embeddings(out / "csv" / "embeddings.csv")
    assert [f"frames/{name}" for name in names] == true["file"].tolist()
    assert np.allclose((vectors**2).sum(axis=1), 1, atol=1e-2)
    loaded = load("csv", out / "csv")
    assert loaded["filenames"][:] == names
    pd.testing.assert_frame_equal(
        loaded.to_pandas(), pd.read_csv(out / "csv" / "embeddings.csv"), check_dtype=False
    )


def test_images_are_those_frames(out: Path) -> None:
    table = pd.read_parquet(out / "selection.parquet")
    for video, some in table.groupby("video"):
        frames = sequential_rgb(out.parent / "videos" / str(video))
        for row in some.itertuples():
            with Image.open(out / "imagefolder" / "train" / Path(str(row.file)).name) as picture:
                assert np.array_equal(np.asarray(picture), frames[int(str(row.frame_index))])
