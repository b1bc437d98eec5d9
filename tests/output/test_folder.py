"""Output folders read again: damaged, of other versions, and of commit 1e0a6dd."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coreframe.flows import cli
from coreframe.flows.preflight import check_output
from coreframe.tasks.datasets.formats import export_dataset
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.standing import standing_result
from coreframe.tasks.report.markdown import report_markdown
from coreframe.tasks.store.named_selections import NamedSelection
from coreframe.tasks.store.store import Store
from tests.commands import nothing_started
from tests.datasets.selections import files_of

Command = Callable[..., tuple[object, str, str]]
"""Of the words of a command line its status, what it printed, and what it said was wrong."""

OLD = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of what commit 1e0a6dd wrote, and where its page was an empty file."""
    shutil.copytree(OLD, tmp_path / "old")
    (tmp_path / "old" / "out" / "report.html").touch()
    return tmp_path / "old"


@pytest.fixture
def command(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command that is refused before anything starts, in this process: it takes no time."""
    monkeypatch.chdir(old)
    monkeypatch.setattr(cli, "PREFECT_AND_DASK", {})
    monkeypatch.setattr(cli, "_started", nothing_started)

    def refused(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["coreframe", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return refused


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns("radius"), path)


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "torn table": ("selection.parquet", cut, "cannot be read ("),
    "empty table": ("selection.parquet", lambda path: path.write_bytes(b""), "cannot be read ("),
    "no table": ("selection.parquet", Path.unlink, "(selection.parquet is missing)"),
    "a column less": ("selection.parquet", without_column, "has no column radius: select again"),
    "torn run": ("run.json", cut, "cannot be read ("),
    "no text": ("run.json", lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read ("),
    "no run": ("run.json", Path.unlink, "(run.json is missing)"),
    "no object": ("run.json", lambda path: path.write_text("[]"), "cannot be read ("),
    "torn metrics": ("metrics.json", cut, "cannot be read ("),
    "no metrics": ("metrics.json", Path.unlink, "(metrics.json is missing)"),
}


def newer(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"format_version": 3} | content))


def holds(found: Any, wanted: Any) -> bool:
    """Whether a JSON value has all that another has, and perhaps further keys."""
    if isinstance(wanted, dict):
        return all(name in found and holds(found[name], wanted[name]) for name in wanted)
    return bool(found == wanted)


@pytest.mark.parametrize("name", DAMAGE)
def test_the_same_damage_has_one_sentence_and_one_status(
    name: str, old: Path, command: Command
) -> None:
    """Whatever command meets it: alone, as another selection, or to be exported."""
    file, damage, sentence = DAMAGE[name]
    shutil.copytree(old / "out", old / "hurt")
    damage(old / "hurt" / file)
    before = files_of(old)
    said = {
        command("report", "--store", "store", "--out", "hurt"),
        command("report", "--store", "store", "--out", "out", "hurt"),
        command("export", "--out", "hurt", "--to", "coco"),
        command("export", "--out", "hurt", "--to", "csv", "--store", "store"),
    }
    assert files_of(old) == before
    ((status, stdout, stderr),) = said
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert stderr.startswith("coreframe: ")
    assert sentence in stderr
    assert f"hurt/{file}" in stderr or f"no selection in hurt ({file}" in stderr
    assert "select" in stderr.split(file)[-1]  # what to do


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_selection_does_not_stand(name: str, old: Path) -> None:
    store, out = Store.open(old / "store"), old / "out"
    parameters = json.loads((out / "run.json").read_text())["parameters"]
    assert standing_result(store, out, parameters) is not None
    file, damage, _ = DAMAGE[name]
    damage(out / file)
    assert standing_result(store, out, parameters) is None


def test_a_selection_stands_only_while_the_store_keeps_the_same(old: Path) -> None:
    store, out = Store.open(old / "store"), old / "out"
    parameters = json.loads((out / "run.json").read_text())["parameters"]
    place = NamedSelection(store.path, "nightly")
    saved = place.open(1)
    assert saved is not None
    assert place.rows().tolist() == saved.centers["row"].tolist()
    place.commit(place.begin(), saved.centers[:3], saved.vectors[:3], 1)
    assert standing_result(store, out, parameters) is None  # as after a backup was brought back
    place.commit(place.begin(), saved.centers, saved.vectors, 1)
    assert standing_result(store, out, parameters) is not None
    shutil.rmtree(old / "store" / "selections")
    assert place.rows().tolist() == []
    assert standing_result(store, out, parameters) is None


@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_newer_folder_is_neither_read_nor_written_over(
    file: str, old: Path, command: Command
) -> None:
    newer(old / "out" / file)
    before = files_of(old)
    asked = ["--store", "store", "--out", "out"]
    for words in (
        ["report", *asked],
        ["export", "--out", "out", "--to", "coco"],
        ["select", *asked, "--name", "nightly"],
        ["select", *asked],
        ["curate", "videos", *asked, "--every", "2", "--name", "nightly"],
    ):
        status, stdout, stderr = command(*words)
        assert (status, stdout, stderr.count("\n")) == (2, "", 1), words
        assert f"out/{file} is of format 3, and this version of Coreframe knows formats" in stderr
        assert stderr.endswith("update Coreframe, or name another folder.\n")
    assert files_of(old) == before
    parameters = json.loads((old / "out" / "run.json").read_text())["parameters"]
    with pytest.raises(UsageError, match="is of format 3"):
        standing_result(Store.open(old / "store"), old / "out", parameters)


def test_a_folder_of_1e0a6dd_holds_what_one_of_today_does(old: Path) -> None:
    folder = OutputFolder.read(old / "out")
    assert (folder.run.format_version, folder.metrics.format_version) == (0, 0)
    for document, file in ((folder.run, "run.json"), (folder.metrics, "metrics.json")):
        assert holds(json.loads(document.text()), json.loads((old / "out" / file).read_text()))
    then = (old / "out" / "report.md").read_text().replace("\n  ", " ").splitlines()
    now = report_markdown(folder.run, folder.metrics).splitlines()
    compared = [taken_out(lines, "| method ") for lines in (then, now)]
    assert compared[0] == compared[1]  # in another order of columns
    then = [line.replace("| videos | number |", "| files | number |") for line in then]
    (jpeg,) = set(then) - set(now)  # the images are PNG, and so is what they are compared with
    assert jpeg.startswith("| all 20 sampled frames as JPEG |")
    assert now == [line for line in then if line != jpeg]
    assert not [line for line in now if line.startswith(" ")]  # Prefect's pages break lines there
    assert folder.run.parameters.ingestion is not None
    assert folder.run.parameters.ingestion["every"] == 2
    assert folder.metrics.chosen.n == len(folder.units) == len(folder.selection) == 5


def taken_out(lines: list[str], start: str) -> list[dict[str, str]]:
    """Take a table out of a page of Markdown; its rows."""
    first = next(place for place, line in enumerate(lines) if line.startswith(start))
    last = next(place for place in range(first, len(lines)) if not lines[place].startswith("|"))
    head, _, *rows = [line.strip("|").split("|") for line in lines[first:last]]
    del lines[first:last]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_folder_of_1e0a6dd_is_reported_on_exported_and_stands(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(old)
    store = Store.open("store")
    folder = check_output(store, "out", ["out"])
    for to in ("coco", "csv"):
        assert export_dataset("out", to).frames == 5
    asked = folder.run.parameters.model_dump()
    standing = standing_result(store, Path("out"), asked)
    assert standing is not None
    assert standing.nothing_new
    assert standing.run.counts.selected_frames == 5
    asked["selecting"]["n_samples"] = 6
    assert standing_result(store, Path("out"), asked) is None


def named_instead(path: Path, name: str) -> None:
    """Let the first image of a selection be another file."""
    table = pq.read_table(path)
    files = table["file"].to_pylist()
    place = table.schema.get_field_index("file")
    pq.write_table(table.set_column(place, "file", pa.array([name, *files[1:]])), path)


@pytest.mark.parametrize("name", ["../secret.png", "{}/secret.png", "frames/../../secret.png"])
def test_a_table_cannot_name_files_outside_its_folder(
    name: str, old: Path, command: Command
) -> None:
    (old / "secret.png").write_bytes(b"\x89PNG\r\n secret")
    named_instead(old / "out" / "selection.parquet", name.format(old))
    before = files_of(old)
    for words in (
        ("export", "--out", "out", "--to", "coco"),
        ("report", "--store", "store", "--out", "out"),
    ):
        status, _, said = command(*words)
        assert status == 2
        assert "which is not in " in said
    assert files_of(old) == before


def test_a_link_in_a_folder_leads_to_a_picture_or_is_refused(old: Path) -> None:
    image = next((old / "out" / "frames").iterdir())
    kept = old / "kept.png"
    image.rename(kept)
    image.symlink_to(kept)
    OutputFolder.read(old / "out")
    kept.write_text("a password")
    with pytest.raises(UsageError, match="which is not in"):
        OutputFolder.read(old / "out")


@pytest.mark.parametrize("fingerprint", ["../../precious", "/precious", "a/b", ""])
def test_a_catalogue_cannot_name_files_outside_its_store(fingerprint: str, old: Path) -> None:
    store = Store.open(old / "store")
    for touch in (store.delete_index, store.read_index, store.has_index):
        with pytest.raises(CoreframeError, match="for a fingerprint, which is none"):
            touch(fingerprint)
