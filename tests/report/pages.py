"""Selections and their pages from stores of given embeddings, without Prefect or any video."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa

from coreframe.tasks.measure.pairwise import L2_BIN
from coreframe.tasks.measure.task import measure_selection
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.report.curve import find_knee, radius_curve
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.gather import PageLimits, gather_evidence
from coreframe.tasks.report.other_selections import Other
from coreframe.tasks.report.page import report_page
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from tests.output.made import make_run


def selected(
    store: Store, out: Path, n: int, cluster: str, **choice: Any
) -> tuple[OutputFolder, Evidence]:
    """Select so many frames, and look at them as the report does; there are no images."""
    chosen = Choice(budget=Budget(n_samples=n), **choice)
    selection = choose_frames(store, chosen, "cpu", cluster)
    names = {video.video: video.path for video in store.read_catalogue().videos}
    frames = selection.frames.assign(
        video=[names[number] for number in selection.frames["video"]], file=None
    )
    measured = measure_selection(store, selection, chosen, Exported(), "cpu", cluster)
    length = selection.units.length
    metrics = Metrics(
        methods=measured.methods,
        selected=chosen.method,
        sequence_length=length,
        l2_bin=L2_BIN,
        knee=find_knee(radius_curve(frames, length)),
        storage=measured.storage,
        wishes=measured.wishes,
    )
    counted = {
        "files": {"ok": len(names)},
        "decodable_frames": selection.decodable,
        "flat_frames": selection.units.flats,
        "outlier_frames": selection.units.outliers,
        "exact_duplicates": selection.units.duplicates,
        "eligible_frames": int(selection.units.eligible.sum()),
        "asked_frames": n,
        "selected_frames": len(frames),
        "stopped_by": selection.stopped_by,
    }
    run = make_run(store, counted)
    table = pa.Table.from_pandas(frames, preserve_index=False)
    written = OutputFolder(out, table, metrics, run)
    return written, look(written, store, chosen, cluster)


LIMITS = PageLimits()


def look(
    written: OutputFolder,
    store: Store,
    choice: Choice,
    cluster: str,
    limits: PageLimits = LIMITS,
) -> Evidence:
    return gather_evidence(
        store,
        choice,
        written.selection,
        written.metrics.methods,
        written.path,
        "cpu",
        cluster,
        limits=limits,
    )


def page_of(
    written: OutputFolder, evidence: Evidence, store: Store, others: Sequence[Other] = ()
) -> str:
    return report_page(written, evidence, store.read_catalogue().videos, others).html


def renamed(store: Store, names: dict[int, str]) -> None:
    """Give videos of a store other names."""
    catalogue = store.read_catalogue()
    catalogue.videos = [
        replace(video, path=names.get(video.video, video.path)) for video in catalogue.videos
    ]
    store.write_catalogue(catalogue)


def rows_of(html: str, section: str) -> list[list[str]]:
    """The cells of the first table in a section of the page, as text."""
    part = html[html.index(f'<section id="{section}">') :]
    table = part[part.index("<table>") : part.index("</table>")]
    return [
        [unescape(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr.*?</tr>", table, re.S)
    ]
