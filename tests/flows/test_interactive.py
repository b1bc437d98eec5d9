"""The door for notebooks."""

from pathlib import Path

import numpy as np
import pytest

import coreframe
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from tests.runs import content, ingest
from tests.videos import sequential_rgb


@pytest.fixture(scope="module")
def folder(
    made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> Path:
    folder = tmp_path_factory.mktemp("interactive")
    videos = [made_videos["closed_gop.mp4"], made_videos["odd_size.mkv"]]
    ingest(videos, folder / "store", cluster)
    return folder


@pytest.fixture
def corpus(folder: Path) -> coreframe.Corpus:
    return coreframe.open(folder / "store")


def test_frames_and_embeddings_are_those_of_the_store(
    corpus: coreframe.Corpus, folder: Path
) -> None:
    frames, lattice = content(coreframe.open(folder / "store")._store)
    assert corpus.frames["row"].tolist() == frames["row"].tolist()
    assert set(corpus.frames["video"]) == {"closed_gop.mp4", "odd_size.mkv"}
    assert corpus.embeddings.dtype == np.float32
    assert np.array_equal(np.rint(corpus.embeddings * 4000), lattice)
    assert corpus.videos["state"].tolist() == ["ok", "ok"]
    assert "2 files, descriptor" in repr(corpus)


def test_it_selects_what_the_command_selects(
    corpus: coreframe.Corpus, folder: Path, cluster: str
) -> None:
    picks = corpus.select(n_samples=9, device="cpu")
    choice = Choice(budget=Budget(n_samples=9))
    expected = choose_frames(corpus._store, choice, "cpu", cluster).frames
    assert picks.frames["row"].tolist() == expected["row"].tolist()
    assert picks.frames["radius"].tolist() == expected["radius"].tolist()
    own = corpus.frames.set_index("row").loc[picks.frames["row"], "video"]
    assert picks.frames["video"].tolist() == own.tolist()
    assert len(picks) == len(picks.embeddings) == 9
    capped = corpus.select(n_samples=9, max_per_video=2)
    assert capped.frames["video"].value_counts().tolist() == [2, 2]


def test_pictures_are_the_frames(corpus: coreframe.Corpus, made_videos: dict[str, Path]) -> None:
    frame = corpus.frames[corpus.frames["video"] == "odd_size.mkv"].iloc[7]
    truth = sequential_rgb(made_videos["odd_size.mkv"])[int(frame["frame_index"])]
    picture = corpus.pictures(np.array([frame["row"]]), side_px=max(truth.shape))[frame["row"]]
    assert picture.size == (truth.shape[1], truth.shape[0])
    difference = np.asarray(picture).astype(int) - truth
    assert abs(difference).mean() < 8  # WebP loses a little


def test_the_contact_sheet_has_a_place_for_every_pick(corpus: coreframe.Corpus) -> None:
    picks = corpus.select(n_samples=7)
    sheet = picks.contact_sheet(columns=3, side_px=50)
    pictures = corpus.pictures(picks.frames["row"].to_numpy(), 50).values()
    tall = max(picture.height for picture in pictures)
    down = tall + 24
    assert sheet.size == (3 * 56 + 6, 3 * down + 6)
    pixels = np.asarray(sheet)
    inside = [pixels[6 + r * down :, 6 + c * 56 :][:tall, :50] for r in range(3) for c in range(3)]
    assert [bool((one != 255).any()) for one in inside] == [True] * 7 + [False] * 2


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"n_sample": 3}, "n_sample: Extra inputs"),
        ({"proportion": 3}, "proportion: Input should be less"),
        ({"min": ["beauty=1"]}, "min: must be"),
    ],
)
def test_wrong_wishes_are_one_sentence(
    corpus: coreframe.Corpus, wishes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(coreframe.UsageError, match=sentence):
        corpus.select(**wishes)


def test_no_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(coreframe.UsageError, match="no store at"):
        coreframe.open(tmp_path)
