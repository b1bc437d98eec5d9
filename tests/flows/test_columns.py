"""Columns from file to page, and those of every night."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import Compute
from coreframe.flows.preflight_choice import check_selecting
from coreframe.flows.report import report
from coreframe.flows.selection import select
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.columns import column_tables, drop
from coreframe.tasks.store.store import Store
from tests.commands import coreframe_each
from tests.flows.again import again
from tests.runs import run
from tests.videos import clips

NAMES = [f"clip-{number:02d}" for number in range(6)]

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("server", "without_page")]


def labels(folder: Path, kind: str) -> str:
    """Of the first two frames of each video: the second is good, and of some kind."""
    lines = [f"{name}.mp4,{frame},{bool(frame)},{kind}" for name in NAMES for frame in (0, 1)]
    file = folder / "labels.csv"
    file.write_text("\n".join(["video,frame_index,good,kind", *lines, "lost.mp4,0,true,x"]))
    return str(file)


def test_every_night_adds_what_is_known_of_its_videos(tmp_path: Path, cluster: str) -> None:
    videos = clips(tmp_path / "videos", NAMES)
    last = videos / f"{NAMES[5]}.mp4"
    shutil.move(last, tmp_path / last.name)
    options: dict[str, Any] = {
        "columns": [labels(tmp_path, "a")],
        "where": "good",
        "prefer": ["sharpness:0.5"],
        "balance": ["kind", "video"],
        "proportion": None,
        "n_samples": 5,
    }
    first = again(tmp_path, cluster, **options)
    added = first["run"]["added_columns"][0]
    assert (added["name"], added["lines"], added["matched"]) == ("labels", 13, 10)
    assert added["first_unmatched"].startswith("frame 0 of clip-05.mp4: the store has no such")
    chosen = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    assert chosen["frame_index"].tolist() == [1] * 5
    assert sorted(chosen["video"]) == [f"{name}.mp4" for name in NAMES[:5]]
    classes = first["run"]["classes"]
    assert [one["name"] for one in classes] == [f"a & {name}.mp4" for name in NAMES[:5]]
    assert {one["chosen"] for one in classes} == {1}
    costs = {one["wish"]: one for one in first["metrics"]["wishes"]}
    assert set(costs) == {"where good", "prefer sharpness:0.5", "balance kind, video"}
    assert all(one["radius_without"] > 0 for one in costs.values())
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| a & clip-00.mp4 | 1 | 1 | 1 |" in markdown.replace("&amp;", "&")
    assert "labels: 10 of 13 lines are about 10 frames; the first that is about none:" in markdown

    assert again(tmp_path, cluster, **options)["run"]["nothing_new"]
    labels(tmp_path, "b")
    shutil.move(tmp_path / last.name, last)
    next_night = again(tmp_path, cluster, **options | {"n_samples": 6})["run"]
    assert next_night["added_columns"][0]["matched"] == 12
    assert next_night["counts"]["kept_frames"] == 5
    assert [one["name"] for one in next_night["classes"]] == [f"b & {name}.mp4" for name in NAMES]
    assert [one["chosen"] for one in next_night["classes"]] == [1] * 6

    store = Store.open(tmp_path / "store")
    drop(store, "labels")
    lacking = "where good: no such column: good. There are: .*; add it, or add it again where"
    with pytest.raises(UsageError, match=f"{lacking} it was dropped, with `coreframe columns add`"):
        report(str(tmp_path / "store"), str(tmp_path / "out"), compute=Compute(cluster=cluster))
    with pytest.raises(UsageError, match=lacking):  # the named selection, without its file
        again(tmp_path, cluster, **options | {"n_samples": 6, "columns": []})
    with pytest.raises(UsageError, match=lacking):
        select(
            str(tmp_path / "store"),
            str(tmp_path / "out2"),
            Selecting(where="good"),
            compute=Compute(cluster=cluster),
        )


def test_the_command_adds_lists_and_drops(tmp_path: Path, cluster: str) -> None:
    run(clips(tmp_path / "videos", NAMES), tmp_path / "store", cluster)
    file = labels(tmp_path, "a")
    of_store = ("--store", "store")
    added, listed, dropped, wrong = coreframe_each(
        [
            ["columns", "add", "seen", file, *of_store],
            ["columns", "list", *of_store],
            ["columns", "drop", "seen", *of_store],
            ["columns", "drop", "seen", *of_store],
        ],
        tmp_path,
    )
    assert added.returncode == 0, added.stderr
    found = "seen: 12 of 13 lines are about 12 frames; the first that is about none: "
    assert found in added.stdout
    assert "columns: good (boolean), kind (text)" in added.stdout
    assert "seen: good (boolean), kind (text); 12 lines" in listed.stdout
    assert "of every frame: sharpness (number), " in listed.stdout
    assert dropped.returncode == 0
    assert column_tables(Store.open(tmp_path / "store")) == {}
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "has no columns named seen: it has none" in wrong.stderr


def test_files_that_could_not_keep_their_names_are_refused_before_any_work(tmp_path: Path) -> None:
    def check(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("video,frame_index,a\nv.mp4,0,1\n")
        columns = [str(tmp_path / name) for name in names]
        check_selecting(str(tmp_path / "store"), Selecting(columns=columns))

    check("boxes.csv", "night 1.csv")
    with pytest.raises(
        UsageError, match=r"2d\.csv: '2d' cannot name .*`coreframe columns add NAME"
    ):
        check("2d.csv")
    with pytest.raises(UsageError, match=r"would both be named boxes, and one would take"):
        check("boxes.csv", "other/boxes.csv")
    with pytest.raises(UsageError, match=r"would both be named Boxes, and one would take"):
        check("boxes.csv", "other/Boxes.csv")


def test_wishes_of_columns_that_files_bring_are_checked_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("video,frame_index,conf,label\nv.mp4,0,0.5,cat\n")

    def check(**wishes: Any) -> None:
        check_selecting(str(tmp_path / "store"), Selecting(columns=[str(file)], **wishes))

    check(where="conf > 0.1 AND label = 'cat'", balance=["label:max-by=conf"], n_samples=5)
    with pytest.raises(UsageError, match="lable"):
        check(where="lable = 'cat'")
    with pytest.raises(UsageError, match="min label: it holds text, and min takes numbers"):
        check(min=["label=1"])
