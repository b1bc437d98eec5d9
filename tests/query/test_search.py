"""`coreframe search` and `corpus.search`, from the query to the picture."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import coreframe
from tests import commands
from tests.runs import content, ingest
from tests.stores import make_store, walks
from tests.videos import scenes


@pytest.fixture(scope="module")
def folder(
    made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> Path:
    folder = tmp_path_factory.mktemp("search")
    videos = [made_videos["closed_gop.mp4"], made_videos["odd_size.mkv"]]
    ingest(videos, folder / "store", cluster)
    return folder


def expected(
    lattice: np.ndarray, frames: pd.DataFrame, query: np.ndarray, n: int, apart: float
) -> list[int]:
    """Rows, in plain Python."""
    score = lattice.astype(np.int64) @ query.astype(np.int64)
    found: list[int] = []
    for place in np.argsort(-score, kind="stable").tolist():
        own = [other for other in found if frames["video"][other] == frames["video"][place]]
        near = (abs(frames["time_s"][other] - frames["time_s"][place]) < apart for other in own)
        if len(found) < n and not any(near):
            found.append(place)
    return frames["row"].to_numpy()[found].tolist()


@pytest.mark.integration
def test_the_command_shows_what_is_like_a_frame(folder: Path) -> None:
    options = ("--store", "store", "--n-samples", 6, "--min-apart", 0.3, "--out", "a.png")
    options += ("--where", "frame_index >= 3", "--max", "luminance=1")
    said = commands.coreframe_here("search", "frame:closed_gop.mp4@0:00.5", *options, cwd=folder)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    best = next(line.split() for line in lines if line.split()[:1] == ["1"])
    assert best == ["1", "closed_gop.mp4", "0:00.5", "12", "1.000"]
    ranks = [line.split()[0] for line in lines[:-2] if line.strip()[:1].isdigit()]
    assert ranks == list("123456")
    asked = {"where": "frame_index >= 3", "max": ["luminance=1"]}
    corpus = coreframe.open(folder / "store")
    met = int((corpus.frames["frame_index"] >= 3).sum())
    limits = "where frame_index >= 3, max luminance=1"
    assert lines[-2:] == [
        f"{met} of {len(corpus.frames)} frames meet {limits}",
        "they are shown in a.png",
    ]
    found = corpus.search("frame:closed_gop.mp4@0:00.5", n_samples=6, min_apart=0.3, **asked)
    assert found.frames["frame_index"].min() >= 3
    sheet = Image.open(folder / "a.png")
    assert sheet.format == "PNG"
    assert sheet.size[0] == 5 * 326 + 6  # five a row
    pixels = np.asarray(sheet.convert("L")).astype(int)
    places = [pixels[6:200, 6 + 326 * place :][:, :320] for place in range(5)]
    assert all(place.std() > 5 for place in places), "one is empty"
    assert np.asarray(sheet.convert("L"))[3:18, 6:200].min() < 100, "no line above them"


@pytest.mark.integration
def test_the_command_takes_a_picture_and_what_it_should_not_be_like(folder: Path) -> None:
    with coreframe.open(folder / "store") as corpus:
        frame = corpus.frames.iloc[33]
        Image.fromarray(corpus.image(int(frame["row"]))).save(folder / "some.png")
    unlike = f"frame:{frame['video']}@0"
    said = commands.coreframe_here(
        *("search", "some.png", "--unlike", unlike, "--store", folder / "store"),
        cwd=folder,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[-1] == "they are shown in search.jpg"
    assert Image.open(folder / "search.jpg").format == "JPEG"
    found = coreframe.open(folder / "store").search(str(folder / "some.png"), unlike=[unlike])
    row = next(line.split() for line in said.stdout.splitlines() if line.split()[:1] == ["1"])
    assert row[-1] == f"{found.frames['similarity'][0]:.3f}"


def test_a_notebook_gets_a_table(folder: Path) -> None:
    with coreframe.open(folder / "store") as corpus:
        frames, lattice = content(corpus._store)
        found = corpus.search("frame:closed_gop.mp4@0.5", n_samples=7, min_apart=0.2)
        rows = expected(lattice, frames, lattice[12], 7, 0.2)
        assert found.frames["row"].tolist() == rows
        assert rows[0] == frames["row"][12]
        assert found.frames["rank"].tolist() == list(range(7))
        assert set(found.frames["video"]) <= {"closed_gop.mp4", "odd_size.mkv"}
        similar = lattice[found.frames["row"]].astype(float) @ lattice[12] / 4000**2
        assert found.frames["similarity"].tolist() == similar.tolist()
        assert found.frames["similarity"].is_monotonic_decreasing
        assert len(found) == len(found.embeddings) == 7
        assert "Found: 7 frames" in repr(found)
        every = corpus.search("frame:closed_gop.mp4@0.5", n_samples=1000, min_apart=0)
        assert len(every) == len(frames)


@pytest.mark.integration
def test_the_sheet_has_a_place_for_every_frame(folder: Path) -> None:
    with coreframe.open(folder / "store") as corpus:
        found = corpus.search("frame:odd_size.mkv@0.5", n_samples=4, min_apart=0.1)
        sheet = np.asarray(found.contact_sheet(columns=2, side_px=50))
        assert sheet.shape[1] == 2 * 56 + 6
        picture = corpus.pictures(found.frames["row"].to_numpy()[:1], 50)
        first = np.asarray(next(iter(picture.values())).convert("RGB"))
        left = 6 + (50 - first.shape[1]) // 2
        assert np.array_equal(sheet[6 : 6 + len(first), left : left + first.shape[1]], first)


REFUSED = {
    "dog": "is no file here: say what it is, file:PATH, frame:VIDEO@TIME or text:WORDS (text:dog)",
    "text:dog": "the store's embedder descriptor-3 knows no words. CLIP and SigLIP models",
    "file:dog.png": "file:dog.png: there is no such file here",
    "frame:dog.mp4@1": "no such video in the corpus of",
    "frame:closed_gop.mp4": "is not frame:VIDEO@TIME",
    "frame:closed_gop.mp4@9:00": "its frames are from 0:00.0 to 0:01.6",
}


@pytest.mark.integration
def test_wrong_use_is_one_sentence(folder: Path) -> None:
    every = [["search", query, "--store", "store", "--out", "no.png"] for query in REFUSED]
    sentences = list(REFUSED.values())
    fine = ["search", "frame:closed_gop.mp4@0", "--store", "store"]
    for more, sentence in (
        (["--out", "x.gif"], "--out x.gif: name a picture, .jpg or .png"),
        (["--out", "nowhere/x.png"], "its folder is not there"),
        (["--n-samples", "0"], "--n-samples 0: input should be greater than or equal to 1"),
        (["--min-apart=-1"], "--min-apart -1.0: input should be greater than or equal to 0"),
        (["--unlike", "cat"], "the query 'cat' is no file here"),
        (["--where", "beauty > 1"], "where beauty > 1: no such column: beauty. There are: flat"),
        (["--min", "sharpness"], "--min sharpness: must be a column, =, and a number"),
        (["--min", "sharpness=2"], "none of the"),
        (["--min", "hour=2", "--max", "hour=1"], "min hour=2 is above max hour=1"),
    ):
        every.append([*fine, *more])
        sentences.append(sentence)
    every.append(["search", "--store", "store"])
    sentences.append("Missing argument 'QUERY...'")
    for sentence, said in zip(sentences, commands.coreframe_each(every, folder), strict=True):
        assert said.returncode == 2, said
        assert sentence in said.stderr
        assert said.stderr.count("\n") == 1
    assert not (folder / "no.png").exists()


def test_wrong_use_in_a_notebook_is_one_sentence(tmp_path: Path) -> None:
    make_store(tmp_path / "s", walks(40, 8, 1), [40])
    corpus = coreframe.open(tmp_path / "s")
    options: list[dict[str, Any]] = [{"n_samples": 0}, {"min_apart": -1.0}]
    for some in options:
        with pytest.raises(coreframe.UsageError, match="must be at least 1"):
            corpus.search("frame:v0.mp4@0", **some)
    with pytest.raises(coreframe.UsageError, match="nothing to search for"):
        corpus.search()
    assert len(corpus.search(unlike=["frame:v0.mp4@0"], min_apart=0)) == 20


@pytest.mark.integration
@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_words_rank_frames(made_videos: dict[str, Path], tmp_path: Path, cluster: str) -> None:
    """With a CLIP that is made here: a search, a choice, and the command itself."""
    from tests.embedders.text_models import clip_tokenizer, features, save_clip

    model = save_clip(tmp_path / "clip")
    videos = [made_videos["closed_gop.mp4"], made_videos["odd_size.mkv"]]
    store, _ = ingest(videos, tmp_path / "store", cluster, embedder=f"hf:{tmp_path / 'clip'}")
    frames, lattice = content(store)
    given = clip_tokenizer()("a red car", return_tensors="pt")
    words = features(model.get_text_features(**given)).numpy()[0]
    query = np.rint(words.astype(np.float64) * 4000)
    with coreframe.open(tmp_path / "store") as corpus:
        found = corpus.search("text:a red car", n_samples=9, min_apart=0.1)
        assert found.frames["row"].tolist() == expected(lattice, frames, query, 9, 0.1)
        chosen = corpus.select(n_samples=5, like=["text:a red car"], like_share=0.2)
        score = lattice.astype(np.int64) @ query.astype(np.int64)
        best = np.argsort(-score, kind="stable")[: -(-len(frames) // 5)]
        assert set(chosen.frames["row"]) <= set(frames["row"].to_numpy()[best])
        Image.fromarray(corpus.image(int(frames["row"][20]))).save(tmp_path / "20.png")
        itself = corpus.search(str(tmp_path / "20.png"), n_samples=1).frames
        assert itself["row"].tolist() == [frames["row"][20]]
        assert itself["similarity"][0] > 0.99
    said = commands.coreframe("search", "text:a red car", "--store", "store", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    assert Image.open(tmp_path / "search.jpg").size[0] > 300


@pytest.mark.usefixtures("server", "forked")
def test_curate_chooses_by_queries(made_videos: dict[str, Path], tmp_path: Path) -> None:
    """From the command to what `run.json` and the page say of it."""
    picture = tmp_path / "some.png"
    Image.fromarray(scenes(20, 96, 64)).save(picture)
    said = commands.coreframe_here(
        *("curate", made_videos["closed_gop.mp4"], made_videos["odd_size.mkv"]),
        *("--store", "store", "--out", "out", "--n-samples", 5, "--workers", 1),
        *("--like", "some.png", "--like", "frame:closed_gop.mp4@0:00.5"),
        *("--like-share", 0.25, "--like-strength", 0.2),
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stderr
    assert "less like what was asked for" in said.stdout
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["parameters"]["selecting"]["like"] == ["some.png", "frame:closed_gop.mp4@0:00.5"]
    assert (
        "--like frame:closed_gop.mp4@0:00.5 --like-strength 0.2 --like-share 0.25" in run["command"]
    )
    counts = run["counts"]
    assert counts["eligible_frames"] == -(
        -(counts["eligible_frames"] + counts["less_like_frames"]) // 4
    )
    picks = pd.read_parquet(tmp_path / "out" / "selection.parquet")["row"]
    with coreframe.open(tmp_path / "store") as corpus:
        options: dict[str, Any] = {"like_share": 0.25, "like_strength": 0.2}
        like = [str(picture), "frame:closed_gop.mp4@0.5"]
        own = corpus.select(n_samples=5, like=like, **options)
        assert picks.tolist() == own.frames["row"].tolist()
    page = tmp_path / "out" / "report.html"
    assert "left out as less like what was asked for" in page.read_text()
    picture.unlink()
    again = commands.coreframe_here(*("report", "--store", "store", "--out", "out"), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    refused = commands.coreframe_here(
        *("select", "--store", "store", "--out", "out2", "--like", "text:rain"), cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "the store's embedder descriptor-3 knows no words" in refused.stderr
