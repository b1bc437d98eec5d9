"""The command and the flows: boxes in, frames chosen by them out, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from coreframe.tasks.datasets.formats import export_dataset
from coreframe.tasks.store.objects import BOX
from tests.commands import coreframe_each
from tests.objects.corpus import drawn_boxes, held, videos, without_nan, write_csv
from tests.runs import ingest
from tests.stores import make_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NAMES = ["a.mp4", "b.mp4"]


@pytest.mark.usefixtures("server")
def test_from_boxes_to_a_page(tmp_path: Path, cluster: str) -> None:
    from coreframe.flows.boxes import Boxes
    from coreframe.flows.choosing import Selecting
    from coreframe.flows.objects import objects
    from coreframe.flows.parameters import Compute, Picture
    from coreframe.flows.selection import select

    videos(tmp_path / "videos", NAMES)
    store, _ = ingest([tmp_path / "videos"], tmp_path / "store", cluster, block_rows=16)
    rows = drawn_boxes(NAMES, [0, 8, 20, 30], 3, seed=1)
    boxes = write_csv(tmp_path / "boxes.csv", [*rows, ["a.mp4", 1, 0, 0, 9, 9, "", ""]])
    compute = Compute(cluster=cluster, device="cpu")
    found = objects(store.path, Boxes(files=[str(boxes)]), compute)
    assert found["counts"]["embedded_objects"] == len(rows) == len(held(store)[0])
    assert found["warnings"] == [
        f"1 box under 16 px a side left out, the first in {boxes}, line {len(rows) + 2}"
    ]
    again = objects(store.path, Boxes(files=[str(boxes)]), compute)
    assert again["counts"]["embedded_objects"] == 0
    chosen = select(
        store.path,
        str(tmp_path / "out"),
        Selecting(objects=True, n_samples=4),
        Picture(resize="48x"),
        compute,
    )
    table = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    row_of = [one["row"] for one in held(store)[0]]
    assert [row_of[number] for number in table["object"]] == table["row"].tolist()
    measured = chosen["metrics"]["methods"]
    assert measured["original"]["objects"] == len(rows)
    assert chosen["run"]["counts"]["frames_without_objects"] > 0
    assert chosen["run"]["command"].count("--objects") == 1
    exported = export_dataset(str(tmp_path / "out"), "coco")
    coco = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    rows_of = {image["id"]: image["row"] for image in coco["images"]}
    names = {one["id"]: one["name"] for one in coco["categories"]}
    told = sorted(
        (rows_of[one["image_id"]], names[one["category_id"]], *one["bbox"], one.get("score"))
        for one in coco["annotations"]
    )
    half = [  # of the pictures that are half as large
        (one["row"], one["label"], *(one[side] / 2 for side in BOX), one["score"])
        for one in without_nan(held(store)[0])
        if one["row"] in rows_of.values()
    ]
    assert exported.boxes == len(told) == len(half) == 12
    for ours, theirs in zip(told, sorted(half), strict=True):
        assert ours[:2] == theirs[:2]
        assert ours[2:6] == pytest.approx(theirs[2:6], abs=1e-4)
        assert ours[6] == pytest.approx(theirs[6], abs=1e-6)
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"4 of 8 frames (coreset) cover the {len(rows)} objects of the corpus within" in page
    assert "chosen frames whose objects stand for the most others" in page
    shutil.copy(tmp_path / "videos" / "a.mp4", tmp_path / "videos" / "b.mp4")
    lost = objects(store.path, Boxes(files=[str(boxes)], replace=True), compute)
    assert lost["counts"]["embedded_objects"] == 0  # it has just these
    one = write_csv(tmp_path / "one.csv", [["b.mp4", 2, 0, 0, 30, 30, "", ""]])
    lost = objects(store.path, Boxes(files=[str(one)]), compute)
    assert (lost["counts"]["faulty_videos"], lost["counts"]["pending_objects"]) == (1, 1)
    assert lost["warnings"][0].startswith("b.mp4 is taken out: its file was replaced")
    records = sorted((tmp_path / "store" / "runs").iterdir())
    assert [json.loads(record.read_text())["flow"] for record in records].count("objects") == 4


def test_what_cannot_be_meant_is_refused_at_once(tmp_path: Path) -> None:
    make_store(tmp_path / "made", np.eye(4, dtype=np.int16) * 4000, [4])
    refused = {
        "no store at nowhere": ["objects", "x.csv", "--store", "nowhere"],
        "cannot read the boxes in x.csv: No such file": ["objects", "x.csv", "--store", "made"],
        "--replace takes away all boxes": ["objects", "--replace", "--store", "made"],
        "name does not go with objects": [
            *("select", "--objects", "--name", "n", "--store", "made", "--out", "out")
        ],
        "objects works with the coreset method only": [
            *("select", "--objects", "--method", "random", "--store", "made", "--out", "out")
        ],
    }
    answers = coreframe_each(list(refused.values()), tmp_path)
    for sentence, answer in zip(refused, answers, strict=True):
        assert answer.returncode == 2, answer.stderr
        assert sentence in answer.stderr
        assert answer.stderr.count("\n") == 1
