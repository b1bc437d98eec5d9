"""Stage 6, report: write what people and programs read, and show the essentials in Prefect."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from dask.distributed import Client

from coreframe.tasks.engine.stage import stage
from coreframe.tasks.names import labels
from coreframe.tasks.output.files import (
    MARKDOWN,
    METRICS,
    PAGE,
    PLOTS,
    RUN,
    replace_file,
    write_bytes,
    write_text,
)
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.output.selection_table import images_before, remove_stale, write_selection
from coreframe.tasks.output.thumbnails import THUMBNAILS, keep_pictures, side_px
from coreframe.tasks.report.gather import gather_evidence, small_pictures
from coreframe.tasks.report.markdown import report_markdown
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.store.store import Store


def write_outputs(
    out: Path,
    selection: pd.DataFrame,
    metrics: Metrics,
    run: Run,
) -> None:
    """Write ``selection.parquet``, ``metrics.json``, ``report.md`` and, last, ``run.json``.

    Args:
        out: the output folder.
        selection: the columns of SELECTION_SCHEMA, and perhaps others.
        metrics: what was measured.
        run: what was asked for, and what was met.
    """
    (out / PAGE).unlink(missing_ok=True)  # or one of an earlier selection could pass for ours
    before = [file for file in images_before(out).values() if file is not None]
    write_selection(out, selection)
    remove_stale(out, before, selection["file"])
    write_text(out / METRICS, metrics.text())
    write_text(out / MARKDOWN, report_markdown(run, metrics))
    write_text(out / RUN, run.text())


outputs_stage = stage("report")(write_outputs)


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
        others: output folders of other selections to compare it with.
        device: where workers keep tensors.
        cluster: the scheduler's address.
        small: small pictures of files in it that were made before.

    Raises:
        UsageError: a folder holds no selection.
    """
    from coreframe.tasks.report import page  # takes a second, which runs without a page do without
    from coreframe.tasks.report.other_selections import SHEET, Other

    folder = OutputFolder.read(out)
    compared = [OutputFolder.read(other.resolve()) for other in others]
    methods = folder.metrics.methods
    evidence = gather_evidence(
        store, choice, folder.selection, methods, out, device, cluster, small
    )
    side = side_px(int(folder.units["file"].count()))
    replace_file(out / THUMBNAILS, lambda path: keep_pictures(path, out, evidence.images, side))
    with Client(cluster) as client:
        shown = [
            Other(name, one, small_pictures(client, one.path, one.units["file"].head(SHEET))[0])
            for name, one in zip(short_names(others), compared, strict=True)
        ]
    catalogue = store.read_catalogue()
    notes = []
    if folder.run.corpus != catalogue.state():
        notes.append(
            "the store has changed since this selection was made. The tables, the distances and "
            "the radius date from then; the map, the timeline and what was dropped show the store "
            "as it is now."
        )
    made = page.report_page(folder, evidence, catalogue.videos, shown, notes)
    write_text(out / PAGE, made.html)
    (out / PLOTS).mkdir(exist_ok=True)
    for name, picture in made.pictures.items():
        write_bytes(out / PLOTS / name, picture)
    for path in (out / PLOTS).glob("*.png"):  # of an earlier page that had more to show
        if path.name not in made.pictures and re.fullmatch(page.OWN_PLOTS, path.stem):
            path.unlink()


page_stage = stage("page")(write_page)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Short names of folders: the last part of each, or the whole path where two would be alike."""
    last = [folder.resolve().name for folder in folders]
    names = [
        name if last.count(name) == 1 else str(folder)
        for name, folder in zip(last, folders, strict=True)
    ]
    label = labels(names)
    return [label[name] for name in names]
