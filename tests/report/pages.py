"""Selections and their pages from stores of given embeddings, without Prefect or any video."""

import re
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np

from coreframe.flows.record import versions
from coreframe.tasks.measure.pairwise import L2_BIN
from coreframe.tasks.measure.task import measure_selection
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.result import Written
from coreframe.tasks.report.beside import Other
from coreframe.tasks.report.curve import curve_of, knee_of
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.gather import gather_evidence
from coreframe.tasks.report.page import report_page
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store


def selected(
    store: Store, out: Path, n: int, cluster: str, **choice: Any
) -> tuple[Written, Evidence]:
    """Select so many frames, and look at them as the report does; there are no images."""
    chosen = Choice(budget=Budget(n_samples=n), **choice)
    selection = choose_frames(store, chosen, "cpu", cluster)
    names = {video.video: video.path for video in store.read_catalogue().videos}
    frames = selection.frames.assign(
        video=[names[number] for number in selection.frames["video"]], file=None
    )
    measured = measure_selection(store, selection, chosen.method, 0, Exported(), "cpu", cluster)
    length = selection.units.length
    metrics = {
        "methods": measured.methods,
        "selected": chosen.method,
        "sequence_length": length,
        "l2_bin": L2_BIN,
        "knee": knee_of(curve_of(frames, length)),
        "storage": measured.storage,
    }
    run = {
        "parameters": {"store": store.path, "picture": {"format": "png"}},
        "command": "coreframe select --store <store>",
        "store": asdict(store.settings),
        "corpus": store.read_catalogue().state(),
        "changes": {},
        "troubles": [],
        "more_troubles": 0,
        "versions": versions(),
        "timings_s": {"select": 1.0},
        "counts": {
            "files": {"ok": len(names)},
            "decodable_frames": selection.decodable,
            "undecodable_frames": 0,
            "exact_duplicates": selection.units.duplicates,
            "rejected_frames": 0,
            "frames_in_no_sequence": 0,
            "eligible_frames": int(selection.units.eligible.sum()),
            "kept_frames": 0,
            "absent_frames": 0,
            "gone_frames": 0,
            "selected_frames": len(frames),
            "stopped_by": selection.stopped_by,
        },
        "failures": [],
    }
    written = Written(out, frames, metrics, run)
    return written, look(written, store, chosen, cluster)


def look(written: Written, store: Store, choice: Choice, cluster: str) -> Evidence:
    fixed = np.array(written.metrics["methods"]["fixed_rate"]["rows"], np.int64)
    return gather_evidence(store, choice, written.selection, fixed, written.out, "cpu", cluster)


def page_of(written: Written, evidence: Evidence, store: Store, others: list[Other] = []) -> str:  # noqa: B006
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
