"""The ``coreframe`` command: wrong use is one sentence and status 2; a run leaves whole outputs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.commands import coreframe, coreframe_each, coreframe_here
from tests.datasets.selections import make_selection
from tests.stores import make_store
from tests.videos import Recipe, make, make_audio

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("command")
    (path / "in").mkdir()
    (path / "empty").mkdir()
    slow = make(Recipe("again.mp4", rate=10), path)  # four seconds
    shutil.copy(slow, path / "in" / "a.mp4")
    (path / "notes.txt").write_text("no video")
    (path / "text.mp4").write_text("no video")
    (path / "file").write_text("in the way")
    make_audio(path / "sound.wav")
    (path / "sounds").mkdir()
    make_audio(path / "sounds" / "a.mkv").rename(path / "sounds" / "a.mp4")
    (path / "blocked").mkdir()
    (path / "blocked" / "frames").touch()
    return path


WRONG = {
    "no input": ([], "no videos given"),
    "nothing there": (["nowhere"], "no such file or folder: nowhere"),
    "empty folder": (["empty"], "no videos found in empty"),
    "folder without videos": (["sounds"], "no videos found in sounds (1 file looked at); a.mp4: "),
    "name too long": (["a" * 300], "too long"),
    "images in the way": (["in", "--out", "blocked"], "cannot write the output folder blocked"),
    "text file": (["in", "notes.txt"], "notes.txt is not a video"),
    "audio file": (["in", "sound.wav"], "sound.wav is not a video"),
    "only a broken file": (
        ["text.mp4"],
        "no videos found in text.mp4 (1 file looked at); text.mp4: cannot be opened",
    ),
    "zero samples": (["in", "--n-samples", "0"], "--n-samples 0: "),
    "negative samples": (["in", "--n-samples", "-5"], "--n-samples -5: "),
    "text for a number": (["in", "--n-samples", "many"], "'--n-samples': Input should be"),
    "proportion": (["in", "--proportion", "1.5"], "--proportion 1.5: "),
    "distance": (["in", "--min-distance", "3"], "--min-distance 3.0: "),
    "radius": (["in", "--radius", "3"], "--radius 3.0: "),
    "limit": (["in", "--min", "sharp=0.1"], "min sharp: there is no such column; use flat, "),
    "no limit": (["in", "--min", "sharp"], "--min sharp: must be a column, =, and a number"),
    "two limits": (
        ["in", "--max", "luminance=1", "--max", "luminance=2"],
        "--max luminance=1 luminance=2: luminance is given twice",
    ),
    "strength": (["in", "--prefer", "sharpness"], "must be a column, :, and a strength from -1"),
    "condition": (["in", "--where", "a >"], 'where a >: near ")": syntax error'),
    "shares": (["in", "--balance", "video=no.csv"], "cannot read the shares in no.csv: No such"),
    "columns": (["in", "--columns", "no.csv"], "cannot read the columns in no.csv: No such file"),
    "radius at random": (
        ["in", "--radius", "0.3", "--method", "random"],
        "radius works with the coreset method only",
    ),
    "sequences": (
        ["in", "--sequence-length", "16", "--n-samples", "9"],
        "n-samples 9 is less than one sequence of 16 frames",
    ),
    "preselected": (["in", "--preselected", "no.csv"], "cannot read the preselected frames in no"),
    "preselected text": (["in", "--preselected", "notes.txt"], "notes.txt has no column video"),
    "name": (["in", "--name", "a/b"], "name 'a/b': use up to 100 letters"),
    "memory": (["in", "--memory-limit", "10MB"], "--memory-limit 10MB: "),
    "memory elsewhere": (
        ["in", "--memory-limit", "2GB", "--cluster", "tcp://127.0.0.1:1"],
        "memory-limit is for the local cluster",
    ),
    "method": (["in", "--method", "clever"], "--method clever: "),
    "embedder": (["in", "--embedder", "clever"], "unknown embedder 'clever'"),
    "no model": (["in", "--embedder", "hf:"], "embedder hf: names no model"),
    "not a model": (["in", "--embedder", "hf:empty"], "empty has no readable config.json"),
    "no checkpoint": (["in", "--embedder", "simclr"], "embedder simclr needs a checkpoint"),
    "empty model": (["in", "--embedder", "simclr:empty"], "empty/checkpoint.safetensors (not"),
    "not a checkpoint": (
        ["in", "--embedder", "simclr:notes.txt"],
        "notes.txt cannot be read as a checkpoint",
    ),
    "input size": (["in", "--input-size", "50"], "input-size 50"),
    "rate": (["in", "--sample-fps", "0"], "--sample-fps 0: "),
    "rate text": (["in", "--sample-fps", "fast"], "--sample-fps fast: "),
    "two samplings": (["in", "--sample-fps", "2", "--every", "3"], "two ways to sample"),
    "crop": (["in", "--crop", "1:2:3"], "--crop 1:2:3: "),
    "resize": (["in", "--resize", "big"], "--resize big: "),
    "format": (["in", "--format", "gif"], "--format gif: "),
    "quality": (["in", "--quality", "0"], "--quality 0: "),
    "device": (["in", "--device", "tpu"], "--device tpu: "),
    "workers": (["in", "--workers", "0"], "--workers 0: "),
    "option": (["in", "--colour", "red"], "--colour"),
    "out": (["in", "--out", "file/out"], "cannot write the output folder file/out"),
    "store": (["in", "--store", "file/store"], "cannot write the store"),
    "store folder": (["in", "--store", "in"], "not a store and not empty"),
}


WRONG_ELSEWHERE = {
    "select": [(["--store", "nowhere"], "no store at nowhere")],
    "train": [
        (["--store", "nowhere"], "no store at nowhere"),
        (["--max-epochs", "0"], "--max-epochs 0: "),
        (["--batch-size", "1"], "--batch-size 1: "),
        (["--input-size", "16"], "--input-size 16: "),
        (["--checkpoint", "nowhere"], "nowhere (not found): make one with `coreframe train"),
        (["--out", "file"], "cannot write the output folder file"),
    ],
    "report": [
        (["--store", "nowhere"], "no store at nowhere"),
        (["--out", "empty"], "no selection in empty"),
        (["--workers", "0"], "--workers 0: "),
    ],
}


@pytest.fixture(scope="module")
def refused(folder: Path) -> dict[tuple[str, str], subprocess.CompletedProcess[str]]:
    """What the command answers to each of them."""
    make_store(folder / "made", np.eye(4, dtype=np.int16) * 4000, [4])
    every = {("curate", case): arguments for case, (arguments, _) in WRONG.items()}
    for command, cases in WRONG_ELSEWHERE.items():
        every |= {(command, sentence): arguments for arguments, sentence in cases}
    complete = []
    for (command, _), arguments in every.items():
        store = "store" if command == "curate" else "made"
        out = "empty" if command == "report" else "out"
        defaults = [] if "--out" in arguments else ["--out", out]
        defaults += [] if "--store" in arguments else ["--store", store]
        complete.append([command, *arguments, *defaults])
    return dict(zip(every, coreframe_each(complete, folder), strict=True))


@pytest.mark.parametrize(
    ("command", "case", "sentence"),
    [("curate", case, sentence) for case, (_, sentence) in WRONG.items()]
    + [(name, one, one) for name, cases in WRONG_ELSEWHERE.items() for _, one in cases],
)
def test_wrong_use_is_one_sentence_and_status_two(
    command: str,
    case: str,
    sentence: str,
    refused: dict[tuple[str, str], subprocess.CompletedProcess[str]],
    folder: Path,
) -> None:
    result = refused[command, case]
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("coreframe: ")
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert result.stderr.endswith(".\n")
    assert not (folder / "prefect").exists()  # no server was started to find this out


def test_info_needs_a_store(folder: Path) -> None:
    result = coreframe("info", "--store", "nowhere", cwd=folder)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "no store at nowhere" in result.stderr


def test_help_lists_the_commands(folder: Path) -> None:
    result = coreframe("--help", cwd=folder)
    assert result.returncode == 0
    for command in ("curate", "ingest", "select", "train", "report", "export", "info"):
        assert command in result.stdout


def test_export_says_what_it_wrote_and_what_it_left_out(tmp_path: Path) -> None:
    made = make_selection(tmp_path, gone=(4,))
    for to, place in (("webdataset", "out/webdataset"), ("csv", "a/b")):
        dest = [] if place.startswith("out") else ["--dest", place]
        result = coreframe_here("export", "--out", "out", "--to", to, *dest, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")
        said = f"17 frames written to {place} as {to}; left out: 1 frame without an image\n"
        assert result.stdout == said
        assert (tmp_path / place).is_dir()
    (made.out / made.table["file"][0]).unlink()
    for arguments, status, sentence in (
        (["--to", "coco"], 1, "is missing: select again, then export again"),
        (["--to", "yolo"], 2, "unknown format 'yolo'"),
        (["--out", "nowhere", "--to", "coco"], 2, "there is no selection in nowhere"),
    ):
        out = [] if "--out" in arguments else ["--out", "out"]
        result = coreframe_here("export", *arguments, *out, cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (status, "", 1)
        assert sentence in result.stderr


@pytest.mark.usefixtures("server", "forked")
def test_run_through_a_temporary_server(folder: Path, request: pytest.FixtureRequest) -> None:
    """The first starts one; the others are run here, on one that is there, and leave no page."""
    budget = ["--n-samples", 100, "--workers", 1]
    result = coreframe(
        "curate", "in", "--store", "real-store", "--out", "real-out", *budget, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert "coreset ✓" in result.stdout
    assert "100 frames were asked for, but there are only 40" in result.stdout
    assert "open real-out/report.html in a browser" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    selection = pd.read_parquet(folder / "real-out" / "selection.parquet")
    assert len(selection) == 40
    assert all((folder / "real-out" / file).is_file() for file in selection["file"])

    request.getfixturevalue("without_page")
    info = coreframe_here("info", "--store", "real-store", cwd=folder)
    assert info.returncode == 0
    assert "40 embedded frames of 1 video\n" in info.stdout

    size = ["--input-size", 32, "--max-epochs", 2, "--workers", 1]
    taught = coreframe_here(
        *["train", "--store", "real-store", "--out", "model", *size], cwd=folder
    )
    assert taught.returncode == 0, taught.stderr
    assert "40 frames shown 2 times each: loss " in taught.stdout
    files = {path.name for path in (folder / "model").iterdir()}
    assert files == {"checkpoint.safetensors", "loss.csv", "loss.png", "train.json"}
    run = json.loads((folder / "model" / "train.json").read_text())
    assert pd.read_csv(folder / "model" / "loss.csv")["loss"].tolist() == run["losses"]
    assert len(run["losses"]) == 2
    curated = coreframe_here(
        *["curate", "in", "--store", "other-store", "--out", "other-out", "--workers", 1],
        *["--embedder", "simclr:model"],
        cwd=folder,
    )
    assert curated.returncode == 0, curated.stderr
    recorded = json.loads((folder / "other-out" / "run.json").read_text())["store"]
    assert (recorded["embedder"], recorded["fingerprint"]) == ("simclr:model", run["fingerprint"])

    other = coreframe_here("ingest", "in", "--store", "real-store", "--every", "2", cwd=folder)
    assert other.returncode == 2
    assert "was made with sampling all, not every 2" in other.stderr

    (folder / "in" / "a.mp4").unlink()
    select = ["select", "--store", "real-store", "--out", "real-out"]
    gone = coreframe_here(*select, cwd=folder)
    assert gone.returncode == 1
    assert "holds no decodable frame" in gone.stderr
    assert gone.stderr.count("\n") == 1
