"""Runs of the flow when little or nothing has changed: of few videos, or of as many as wanted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreframe.flows.choosing import Selecting
from coreframe.flows.curate import curate
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.frames import frames_table
from tests.runs import bytes_of, run
from tests.videos import clips


def again(place: Path, cluster: str, block_rows: int = 16, **selecting: Any) -> dict[str, Any]:
    return curate(
        store=str(place / "store"),
        out=str(place / "out"),
        corpus=Sources(videos=[str(place / "videos")]),
        ingestion=Ingestion(block_rows=block_rows),
        selecting=Selecting(**{"name": "nightly", "proportion": 0.25} | selecting),
        compute=Compute(cluster=cluster),
    )


def records(place: Path, store: str = "store") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((place / store / "runs").iterdir())]


def without_records(place: Path) -> dict[Path, bytes]:
    return {
        path: data
        for path, data in bytes_of(place).items()
        if path.parent.name != "runs" and path.name not in ("lock.json", ".guard")
    }


def nothing_new(place: Path, cluster: str, *, count: int) -> None:
    """A second run over so many videos changes no byte of the store but the record.

    Copies of one video whose files differ in their last bytes, put into the store by hand.
    """
    videos = clips(place / "videos", ["a"])
    store, _ = run(videos, place / "store", cluster, block_rows=1024)
    catalogue, table = store.read_catalogue(), store.committed(0)
    assert table is not None
    one, data = catalogue.videos[0], (videos / "a.mp4").read_bytes()
    facts, index = store.read_facts_and_index(one.fingerprint)
    for number in range(1, count):
        path = videos / f"copy-{number:05d}.mp4"
        path.write_bytes(data + number.to_bytes(4, "big"))
        copy = replace(one, video=number, path=path.name, source=str(path), first_row=4 * number)
        catalogue.videos.append(replace(copy, fingerprint=fingerprint(path)))
        store.write_index(catalogue.videos[-1].fingerprint, facts, index)
    store.plan_rows(4 * count)
    four, vectors = table.to_pandas(), store.read_rows(np.arange(4))
    for block in store.blocks_of(0, 4 * count):
        rows = np.arange(1024 * block, min(1024 * (block + 1), 4 * count))
        own = four.iloc[rows % 4].assign(row=rows, video=(rows // 4).astype(np.int32))
        tuples = list(own.itertuples(index=False, name=None))
        store.commit_block(block, vectors[rows % 4], frames_table(tuples))
    store.write_catalogue(catalogue)

    again(place, cluster, block_rows=1024)
    before = without_records(place)
    assert again(place, cluster, block_rows=1024)["run"]["nothing_new"]
    assert without_records(place) == before
    record = records(place)[-1]
    assert record["counts"]["files"] == {"ok": count}
    assert record["changes"] == {}
