"""What `coreframe info` says beside the videos: columns, neighbours."""

from pathlib import Path

import pandas as pd
import pytest

from coreframe.flows.terminal import show_store
from coreframe.tasks.columns.add import add_columns
from coreframe.tasks.neighbours.kept import POINTER
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.store import Store
from tests.stores import make_store, walks


def told(store: Store, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines before the table of videos."""
    show_store(store)
    lines = capsys.readouterr().out.splitlines()
    return lines[2 : next(place for place, line in enumerate(lines) if not line.strip())]


@pytest.mark.integration
def test_columns_and_neighbours_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(tmp_path / "store", walks(100, 8, 3), [60, 40], block_rows=16)
    assert told(store, capsys) == []
    lines = [("v0.mp4", 0, "bus", 0.5), ("v0.mp4", 0, None, 0.7), ("v0.mp4", 20, None, 0.1)]
    lines += [("v1.mp4", 3, "car", 0.2), ("v1.mp4", 4, "car", None), ("v1.mp4", 4, "bus", None)]
    table = pd.DataFrame(lines, columns=["video", "frame_index", "label", "conf"])
    table.to_parquet(tmp_path / "boxes.parquet")
    weather = table[["video", "frame_index"]].drop_duplicates().assign(night=True)
    weather.to_parquet(tmp_path / "weather.parquet", index=False)
    for name in ("weather", "boxes"):
        add_columns(store, name, str(tmp_path / f"{name}.parquet"))
    choose_here(store, Choice(budget=Budget(5), skip_outliers=0.1, neighbours=3))
    assert told(store, capsys) == [
        "columns boxes: label (text) of 3 frames, conf (number) of 3 frames",
        "columns weather: night (boolean) of 4 frames",
        "neighbours: the 3 nearest of 100 of 100 frames",
    ]

    catalogue = store.read_catalogue()
    catalogue.update(0, state=VideoState.RETIRED)
    store.write_catalogue(catalogue)
    assert told(store, capsys) == [
        "columns boxes: label (text) of 2 frames, conf (number) of 1 frame",
        "columns weather: night (boolean) of 2 frames",
        "neighbours: the 3 nearest of 40 of 40 frames",
    ]

    make_store(tmp_path / "store", walks(130, 8, 3), [60, 40, 30], block_rows=16)
    assert told(store, capsys)[2] == (
        "neighbours: the 3 nearest of 100 of 130 frames; what is missing is found when it is needed"
    )

    (tmp_path / "store" / POINTER).write_text("{}")
    assert told(store, capsys)[2] == (
        "neighbours: cannot be read; they are found anew when they are needed"
    )
