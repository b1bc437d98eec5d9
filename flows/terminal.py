"""What the command says at its end."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coreframe.tasks import status
from coreframe.tasks.columns.add import AddedColumns, said
from coreframe.tasks.columns.summary import column_summaries
from coreframe.tasks.datasets.formats import Dataset
from coreframe.tasks.kcenter.goal import StoppedBy
from coreframe.tasks.names import shown
from coreframe.tasks.neighbours.summary import neighbour_summary
from coreframe.tasks.objects.matching import Skip
from coreframe.tasks.objects.summary import object_summary
from coreframe.tasks.output.files import PAGE
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.result import Result
from coreframe.tasks.output.run import ChangedVideos, Run
from coreframe.tasks.query.asked import spelled
from coreframe.tasks.report.sentences import cost_text
from coreframe.tasks.report.storage import all_frames_bytes, written_as
from coreframe.tasks.report.tables import SELECTED_MARK, comparison, size
from coreframe.tasks.report.wishes import lacking
from coreframe.tasks.select.columns import OWN
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.columns import column_tables
from coreframe.tasks.store.store import Store

NAMED_CLASSES = 12
"""Of what was balanced."""
NAMED_LABELS = 8
"""Of a store's objects, the most frequent first."""

LEAST_COLUMNS = 4
"""Of the comparison, with the methods' names: what decides."""


def show_result(result: Mapping[str, Any], out: str) -> None:
    """Print the comparison, what was saved, and which file to open first.

    Args:
        result: what the ``curate`` and ``select`` flows return.
        out: the output folder as the user named it.
    """
    known = Result.from_json(result)
    if known.nothing_new:
        _say("nothing has changed since the last run: the selection stands as it is")
    _show_comparison(known.metrics)
    _show_counts(known.run)
    for one in known.metrics.wishes:
        if one.radius_without is not None:
            without = f"{one.radius_without:.3f} without it"
            _say(f"{one.wish}: the largest gap is {one.radius:.3f}, {without}")
    storage = known.metrics.storage
    every = all_frames_bytes(known.run, storage)
    if every and storage.kept_frames:
        _say(
            f"kept {size(storage.kept_frames_bytes)} in {storage.kept_frames:,} frames; "
            f"all {storage.all_frames:,} as {written_as(known.run)} would take {size(every)}"
        )
    if cost := cost_text(known.run, known.metrics):
        _say(cost)
    show_reported(out)
    _say(f"the frames are in {Path(out, 'frames')}")
    _show_warnings(result)


def _show_warnings(result: Mapping[str, Any]) -> None:
    if result["warnings"]:
        _say(f"completed with warnings: {'; '.join(result['warnings'])}")


def _show_comparison(metrics: Metrics) -> None:
    rows, console, noun = comparison(metrics), _console(), metrics.compared
    table, columns = _comparison_table(rows), len(rows[0])
    if _width(table, console) > console.width:  # titles of two words in two lines
        rows = [{title.replace(" ", "\n"): cell for title, cell in row.items()} for row in rows]
        table = _comparison_table(rows)
    while _width(table, console) > console.width and columns > LEAST_COLUMNS:
        columns -= 1
        table = _comparison_table([dict(list(row.items())[:columns]) for row in rows])
    # no cell is cut: a terminal that is still too narrow wraps it
    Console(width=max(_width(table, console), console.width)).print(table)
    if columns < len(rows[0]):
        _say(f"{len(rows[0]) - columns} more columns are on the page")
    _say(f"gap: from any {noun} of the corpus to the set. L2: between any two {noun}s of a set.")
    if not all(measured.exact for measured in metrics.methods.by_key().values()):
        _say("* from the pairs of a random sample, ± its 95 % confidence interval")


def _comparison_table(rows: Sequence[Mapping[str, str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAVY, padding=(0, 0, 0, 1), pad_edge=False)
    for number, title in enumerate(rows[0]):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row.values(), style="bold" if SELECTED_MARK in row["method"] else None)
    return table


def _show_counts(run: Run) -> None:
    counts = run.counts
    duplicates = counts.exact_duplicates
    left_out = {
        "with damaged pictures": counts.suspect_frames,
        "that show nothing": counts.flat_frames,
        "that nothing resembles": counts.outlier_frames,
        f"exact duplicate{'s' * (duplicates != 1)}": duplicates,
        "outside the limits": counts.rejected_frames,
        "less like what was asked for": counts.less_like_frames,
        "in no whole sequence": counts.frames_in_no_sequence,
        "without an object": counts.frames_without_objects or 0,
    }
    parts = [f"{count:,} {what}" for what, count in left_out.items() if count]
    _say(_files(counts.files) + (f"; left out: {', '.join(parts)}" if parts else ""))
    _show_changes(run.changes)
    for added in run.added_columns:
        _say(f"{added.name}: {said(added)}")
    if run.classes:
        shares = [f"{one.name} {one.chosen:,}" for one in run.classes[:NAMED_CLASSES]]
        more = len(run.classes) - len(shares)
        _say(f"balanced: {', '.join(shares)}{f' and {more} more classes' if more else ''}")
        for sentence in lacking(run):
            _say(sentence.rstrip("."))
    if counts.kept_frames:
        new = counts.selected_frames - counts.kept_frames
        _say(f"{counts.kept_frames:,} frames were selected before, {new:,} are new")
    if counts.absent_frames:
        lost = counts.absent_images
        _say(
            f"{counts.absent_frames:,} of the selected frames are of videos that are gone or "
            f"changed{f', {lost:,} of them without an image' if lost else ''}; --drop-gone drops "
            "them"
        )
    if counts.stopped_by == StoppedBy.EXHAUSTED and counts.asked_frames is not None:
        _say(
            f"{counts.asked_frames:,} frames were asked for, but there are only "
            f"{counts.eligible_frames:,} to choose from: all of them are selected"
        )


def show_reported(out: str) -> None:
    """Print which file to open."""
    _say(f"open {Path(out, PAGE)} in a browser")


def show_ingested(result: Mapping[str, Any], store: str) -> None:
    """Print what an ingestion did."""
    counts = result["counts"]
    _say(f"{_files(counts['files'])}; {counts['embedded_frames']:,} frames embedded into {store}")
    _show_changes({kind: ChangedVideos(**found) for kind, found in result["changes"].items()})
    _show_warnings(result)


def show_objects(result: Mapping[str, Any], store: str) -> None:
    """Print what became of boxes."""
    counts = result["counts"]
    pending = counts["pending_objects"]
    left = f"; {_counted(pending, 'object')} of videos that are not there wait" if pending else ""
    _say(f"{_counted(counts['embedded_objects'], 'object')} embedded into {store}{left}")
    known = counts["skipped_boxes"].get(Skip.KNOWN, 0)
    if known:
        _say(f"{known:,} of the boxes were there before")
    if counts["small_objects"]:
        _say(
            f"{_counted(counts['small_objects'], 'object')} left out: their frames show too little"
        )
    _show_warnings(result)


def show_trained(result: Mapping[str, Any], out: str) -> None:
    """Print what training did, and how to use it."""
    counts, losses = result["counts"], result["losses"]
    _say(
        f"{_counted(counts['frames'], 'frame')} shown {_counted(counts['epochs'], 'time')} each: "
        f"loss {losses[0]:.3f} in the first epoch, {losses[-1]:.3f} in the last"
    )
    for failure in result["failures"]:
        _say(failure)
    _say(f"embed with it: coreframe curate VIDEOS... --embedder simclr:{out} --store NEW_STORE")


def show_checked(result: Mapping[str, Any], store: str) -> None:
    """Print what a check found, and what comes next."""
    if result["sound"]:
        _say(f"{_counted(result['blocks'], 'block')} of {store}: all as committed")
        return
    for clause in result["described"]:
        _say(f"taken back: {clause}")
    _say("run `coreframe ingest` or `curate` again with the same videos: it embeds what is missing")
    if any("objects" in clause for clause in result["described"]):
        _say(f"then `coreframe objects --store {store}`: it embeds what objects are missing")


def show_forgotten(found: Mapping[str, Any], store: str) -> None:
    """Print what was forgotten, or would be, and which folders nobody has touched."""
    did = "would be forgotten in" if found["dry_run"] else "forgotten in"
    copies = " (a content goes with all of its copies)" * (found["videos"] > found["contents"])
    videos, frames = _counted(found["videos"], "video"), _counted(found["frames"], "frame")
    _say(f"{did} {store}: {videos}, {frames}{copies}")
    for fingerprint in found["fingerprints"]:
        _say(f"later runs pass over what has the fingerprint {fingerprint}")
    for out, frames in found["outside"]:
        holds = "learned from this store" if frames is None else f"has {_counted(frames, 'frame')}"
        _say(f"not touched: {out}, which {holds}: delete it, or make it anew")
    _say(
        "not known here: exported datasets, backups, what Prefect's server keeps, and outputs that "
        "earlier versions made without --name"
    )


def show_unforgotten(fingerprints: Sequence[str], store: str) -> None:
    """Print what may come back."""
    _say(
        f"{_counted(len(fingerprints), 'content')} may come back into {store}: the next `coreframe "
        "ingest` embeds it anew where it finds it"
    )


def show_added(added: AddedColumns) -> None:
    """Print what became of a file of columns."""
    _say(f"{added.name}: {said(added)}")
    kinds = ", ".join(f"{name} ({kind})" for name, kind in added.columns.items())
    _say(f"columns: {kinds}")


def show_columns(store: Store) -> None:
    """Print which columns a store has, and what every frame has."""
    for name, table in column_tables(store).items():
        kinds = ", ".join(f"{column} ({kind})" for column, kind in table.kinds.items())
        several = ", several a frame" * table.several
        _say(f"{name}: {kinds}; {_counted(table.lines, 'line')}{several}")
    _say(f"of every frame: {', '.join(f'{name} ({kind})' for name, kind in OWN.items())}")


def show_exported(written: Dataset, to: str) -> None:
    """Print where a dataset is, and what is not in it."""
    lost = written.without_image
    left_out = f"; left out: {_counted(lost, 'frame')} without an image" if lost else ""
    with_boxes = f" with {_counted(written.boxes, 'object')}" if written.boxes else ""
    frames = f"{_counted(written.frames, 'frame')}{with_boxes}"
    _say(f"{frames} written to {written.place} as {to}{left_out}")


def show_found(frames: Sequence[Mapping[Any, Any]], within: str, out: str) -> None:
    """Print the frames that a search found, the best first, and where they are to be seen.

    Args:
        frames: the lines of what was found.
        within: of how many frames; empty for all.
        out: the picture of them.
    """
    table = Table(box=box.SIMPLE_HEAVY, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("video", overflow="fold")
    for title in ("time", "frame_index", "similarity"):
        table.add_column(title, justify="right", no_wrap=True)
    for frame in frames:
        table.add_row(
            str(frame["rank"] + 1),
            Text(shown(frame["video"])),
            spelled(frame["time_s"]),
            str(frame["frame_index"]),
            f"{frame['similarity']:.3f}",
        )
    console = _console()
    console.print(table, width=None if console.is_terminal else 160)
    if within:
        _say(within)
    _say(f"they are shown in {out}")


def show_store(store: Store) -> None:
    """Print what a store holds, a line each video."""
    catalogue, settings = store.read_catalogue(), store.settings
    active = [video for video in catalogue.videos if video.active]
    embedded = sum(video.decoded for video in active)
    _say(f"{store.path}: {embedded:,} embedded frames of {_counted(len(active), 'video')}")
    _say(
        f"embedder {settings.embedder} ({settings.dim} numbers a frame), sampling "
        f"{settings.sampling}, crop {settings.crop or 'none'}, {settings.block_rows:,} rows a block"
    )
    _show_stored_columns(store)
    _show_kept_neighbours(store, embedded)
    _show_stored_objects(store)
    table = Table(box=box.SIMPLE_HEAVY, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("video", overflow="fold")
    for title in ("state", "embedded", "seconds", "pixels"):
        table.add_column(title, justify="left" if title == "state" else "right", no_wrap=True)
    forgotten = [video for video in catalogue.videos if video.state == VideoState.FORGOTTEN]
    for video in catalogue.videos:
        if video in forgotten:
            continue
        name = Text(shown(video.path))  # plain text: a file's name may look like markup
        if video.reason or video.note:
            name.append(f"\n  {video.reason or video.note}", style="dim")
        table.add_row(
            name,
            video.state,
            f"{video.decoded:,}",
            f"{video.duration_s:.2f}" if video.width else "",
            f"{video.width}x{video.height}" if video.width else "",
        )
    console = _console()
    console.print(table, width=None if console.is_terminal else 160)
    if forgotten:
        rows = sum(video.rows for video in forgotten)
        _say(f"{_counted(len(forgotten), 'video')} forgotten: {_counted(rows, 'row')} stay empty")


def _show_stored_columns(store: Store) -> None:
    """Print which columns were added, and how many frames have a value."""
    for table, columns in groupby(column_summaries(store), lambda column: column.table):
        told = [f"{one.name} ({one.kind}) of {_counted(one.frames, 'frame')}" for one in columns]
        _say(f"columns {table}: {', '.join(told)}")


def _show_kept_neighbours(store: Store, embedded: int) -> None:
    """Print how many nearest neighbours are kept, and of how many of the embedded frames."""
    kept = neighbour_summary(store)
    if kept is None:
        return
    what = f"the {kept.k:,} nearest of {kept.frames:,} of {_counted(embedded, 'frame')}"
    rest = "; what is missing is found when it is needed" * (kept.frames < embedded)
    if not kept.k:
        what, rest = "cannot be read", "; they are found anew when they are needed"
    _say(f"neighbours: {what}{rest}")


def _show_stored_objects(store: Store) -> None:
    """Print how many objects are embedded, and of which labels."""
    found = object_summary(store)
    if not found.objects:
        return
    labels = [f"{count:,} {label or 'without a label'}" for label, count in found.labels.items()]
    more = len(labels) - NAMED_LABELS
    named = labels[:NAMED_LABELS] + ([f"{more:,} more labels"] if more > 0 else [])
    frames = _counted(found.frames, "frame")
    _say(f"{_counted(found.objects, 'object')} in {frames}: {', '.join(named)}")


def _files(states: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    return f"{_counted(sum(states.values()), 'file')}: {parts}"


def _show_changes(changes: Mapping[str, ChangedVideos]) -> None:
    if changes:
        kinds = ", ".join(f"{found.count:,} {kind}" for kind, found in changes.items())
        _say(f"changes to the corpus: {kinds}")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _say(text: str) -> None:
    _console().print(shown(text), highlight=False, markup=False, soft_wrap=True)


def _width(table: Table, console: Console) -> int:
    """Characters that a table takes where there is room."""
    return console.measure(table, options=console.options.update_width(1000)).maximum


def _console() -> Console:
    status.hide()
    return Console()
