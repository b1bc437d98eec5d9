"""What the command says at its end."""

from pathlib import Path

import pytest

from coreframe.flows import terminal
from coreframe.tasks.output.folder import OutputFolder
from tests.datasets.selections import make_selection


@pytest.mark.parametrize("columns", [120, 80, 60, 30])
def test_no_cell_of_the_comparison_is_cut(
    columns: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    metrics = OutputFolder.read(make_selection(tmp_path).out).metrics
    terminal._show_comparison(metrics)
    said = capsys.readouterr().out
    assert "…" not in said
    words = said.split()
    lines = said.splitlines()
    titles = ("frames", "max", "mean", "min", "p10", "p90")  # what decides comes first
    there = [title for title in titles if title in words]
    assert there == list(titles[: len(there)])
    assert len(there) == {120: 6, 80: 6, 60: 5, 30: 3}[columns]
    assert all(len(line.rstrip()) <= columns for line in lines[:6] if columns > 30)
    assert ("more columns are on the page" in said) == (columns < 80)


@pytest.mark.parametrize(("number", "plural"), [(1, ""), (2, "s")])
def test_one_is_one(
    number: int, plural: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = OutputFolder.read(make_selection(tmp_path).out).run
    counts = run.counts.model_copy(update={"exact_duplicates": number})
    terminal._show_counts(run.model_copy(update={"counts": counts}))
    said = capsys.readouterr().out.replace(",", "\n").splitlines()
    assert any(line.endswith(f"{number} exact duplicate{plural}") for line in said), said
