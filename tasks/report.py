"""Stage 6, report: write what people and programs read, and show the essentials in Prefect."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.embedding.simclr import CHECKPOINT
from tasks.errors import UsageError
from tasks.evidence import gather_evidence
from tasks.export import images_before, remove_stale
from tasks.jobs.train import Trained
from tasks.pictures import THUMBNAILS, keep_pictures, side_px, small_pictures
from tasks.reporting.facts import LISTED, PAGE, PLOTS, verdict
from tasks.reporting.markdown import report_markdown
from tasks.reporting.tables import comparison
from tasks.reporting.written import Written
from tasks.selection.choice import Choice
from tasks.stage import stage
from tasks.storage.folders import room
from tasks.store.catalogue import Video
from tasks.store.store import Store

SELECTION_SCHEMA = pa.schema(
    {
        "rank": pa.int64(),
        "row": pa.int64(),
        "video": pa.string(),
        "frame_index": pa.int32(),
        "pts": pa.int64(),
        "time_s": pa.float64(),
        "distance": pa.float64(),
        "radius": pa.float64(),
        "lower_bound": pa.float64(),
        "preselected": pa.bool_(),
        "sequence": pa.int64(),
        "file": pa.string(),
    }
)


@stage("report")
def write_outputs(
    out: Path,
    selection: pd.DataFrame,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
) -> None:
    """Write ``selection.parquet``, ``metrics.json``, ``report.md`` and, last, ``run.json``.

    Args:
        out: the output folder.
        selection: the columns of SELECTION_SCHEMA, and perhaps others.
        metrics: what ``metrics.json`` holds.
        run: what ``run.json`` holds.
    """
    (out / PAGE).unlink(missing_ok=True)  # or one of an earlier selection could pass for ours
    before = [file for file in images_before(out).values() if file is not None]
    write_selection(out, selection)
    remove_stale(out, before, selection["file"])
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    text = report_markdown(run, metrics)
    write_text(out / "report.md", text)
    create_table_artifact(
        key="coreframe-comparison",
        table=comparison(metrics),
        description=verdict(metrics),
    )
    create_markdown_artifact(key="coreframe-report", markdown=text)
    write_text(out / "run.json", json.dumps(run, indent=2) + "\n")


def write_selection(out: Path, selection: pd.DataFrame) -> None:
    """Write ``selection.parquet``: the columns of SELECTION_SCHEMA."""
    columns = selection[SELECTION_SCHEMA.names]
    table = pa.Table.from_pandas(columns, schema=SELECTION_SCHEMA, preserve_index=False)
    for name in ("distance", "radius", "lower_bound"):
        with_nan = table[name].combine_chunks().fill_null(float("nan"))
        table = table.set_column(table.schema.get_field_index(name), name, with_nan)
    _replace(out / "selection.parquet", lambda temporary: pq.write_table(table, temporary))


@stage("page")
def write_page(
    store: Store,
    choice: Choice,
    out: Path,
    others: Sequence[Path],
    device: str,
    cluster: str,
    small: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write ``report.html``, ``plots/`` and ``thumbnails.parquet`` of an output folder.

    Args:
        store: what was selected from.
        choice: what was asked for.
        out: the output folder.
        others: output folders of other selections to show beside it.
        device: where workers keep tensors.
        cluster: the scheduler's address.
        small: small pictures of files in it that were made before.

    Raises:
        UsageError: a folder holds no selection.
    """
    from tasks.reporting import page  # takes a second, which runs without a page do without

    written = Written.read(out)
    beside = [Written.read(other.resolve()) for other in others]
    fixed_rate = np.array(written.metrics["methods"]["fixed_rate"]["rows"], np.int64)
    evidence = gather_evidence(
        store, choice, written.selection, fixed_rate, out, device, cluster, small
    )
    side = side_px(int(written.units["file"].count()))
    _replace(out / THUMBNAILS, lambda path: keep_pictures(path, out, evidence.images, side))
    with Client(cluster) as client:
        shown = [
            page.Other(
                name, one, small_pictures(client, one.out, one.units["file"].head(page.SHEET))[0]
            )
            for name, one in zip(told_apart(others), beside, strict=True)
        ]
    catalogue = store.read_catalogue()
    notes = []
    if written.run["corpus"] != catalogue.state():
        notes.append(
            "the store has changed since this selection was made. The tables, the distances and "
            "the radius are those of then; the map, the timeline and what was dropped are of the "
            "store as it is now."
        )
    made = page.report_page(written, evidence, catalogue.videos, shown, notes)
    write_text(out / PAGE, made.html)
    (out / PLOTS).mkdir(exist_ok=True)
    for name, picture in made.pictures.items():
        _replace(out / PLOTS / name, lambda path, picture=picture: path.write_bytes(picture))
    for path in (out / PLOTS).glob("*.png"):  # of an earlier page that had more to show
        if path.name not in made.pictures and re.fullmatch(page.OWN_PLOTS, path.stem):
            path.unlink()
    create_link_artifact(
        key="coreframe-page",
        link=(out / PAGE).resolve().as_uri(),
        description="The report: tables, pictures and plots.",
    )


def told_apart(folders: Sequence[Path]) -> list[str]:
    """Short names of folders: the last part of each, or the whole path where two would be alike."""
    last = [folder.resolve().name for folder in folders]
    return [
        name if last.count(name) == 1 else str(folder)
        for name, folder in zip(last, folders, strict=True)
    ]


def standing_result(
    store: Store, out: Path, parameters: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What an earlier run wrote of a named selection, if nothing has changed since.

    Neither the corpus, nor what was asked for, nor the images on disk.

    Returns:
        What ``run.json`` and ``metrics.json`` hold, under ``run`` and ``metrics``, or None where
        there is something to do.
    """
    if parameters["selecting"]["name"] is None:
        return None
    try:
        written = Written.read(out)
    except UsageError:
        return None
    run = written.run
    same = run.get("corpus") == store.read_catalogue().state() and all(
        run["parameters"].get(name) == parameters[name]
        for name in ("store", "selecting", "picture")
    )
    there = all((out / file).is_file() for file in [*written.selection["file"].dropna(), PAGE])
    if not same or run["failures"] or not there:
        return None
    return {"run": run | {"nothing_new": True}, "metrics": written.metrics}


def show_quarantined(videos: Sequence[Video]) -> None:
    """Show in Prefect which videos are taken out and why, if there are any."""
    out = [video for video in videos if video.state == "quarantined"]
    if out:
        create_table_artifact(
            key="coreframe-quarantined",
            table=[
                {"video": v.path, "why": v.reason, "workers lost": v.attempts, "source": v.source}
                for v in out[:LISTED]
            ],
            description=f"{len(out):,} videos are not read any more. Mend or replace them, or run "
            "with retry_quarantined.",
        )


def show_run(record: Mapping[str, Any]) -> None:
    """Show in Prefect how long each stage took, how fast frames were embedded, what changed."""
    timings, counts = record.get("timings_s", {}), record.get("counts", {})
    facts: dict[str, object] = {f"{stage}, s": seconds for stage, seconds in timings.items()}
    embedded, seconds = counts.get("embedded_frames", 0), timings.get("embed", 0.0)
    facts["frames embedded"] = embedded
    if embedded and seconds:
        facts["frames embedded a second"] = round(embedded / seconds, 1)
    facts |= {f"videos {kind}": found["count"] for kind, found in record["changes"].items()}
    create_table_artifact(
        key="coreframe-run",
        table=[{"what": name, "value": value} for name, value in facts.items()],
        description=f"{record['flow']} {record['outcome']} {record['reason']}".strip(),
    )


def write_trained(out: Path, trained: Trained) -> None:
    """Write the checkpoint and ``loss.csv`` of the epochs so far."""
    _replace(out / CHECKPOINT, lambda temporary: temporary.write_bytes(trained.checkpoint))
    epochs = range(1, len(trained.losses) + 1)
    losses = pd.DataFrame({"epoch": epochs, "loss": trained.losses})
    _replace(out / "loss.csv", lambda temporary: losses.to_csv(temporary, index=False))


@stage("report")
def write_training(out: Path, trained: Trained, run: Mapping[str, Any]) -> None:
    """Write ``loss.png`` and ``train.json``, which are there when training came to its end.

    Args:
        out: the output folder.
        trained: what came of it.
        run: what ``train.json`` holds.
    """
    from tasks.reporting.charts import draw_charts, loss_chart  # a second

    picture = draw_charts({"loss": loss_chart(trained.losses)}).pictures["loss"]
    _replace(out / "loss.png", lambda path: path.write_bytes(picture))
    epochs = list(range(1, len(trained.losses) + 1))
    create_table_artifact(
        key="coreframe-training",
        table={"epoch": epochs, "loss": trained.losses},
        description=f"Contrastive loss by epoch; {out / CHECKPOINT} is {trained.fingerprint}.",
    )
    write_text(out / "train.json", json.dumps(run, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old one or the new one."""
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _replace(path: Path, write) -> None:  # type: ignore[no-untyped-def]
    temporary = path.with_name(f".{path.name}.tmp")
    with room(path):
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
