"""The ``select`` flow: choose frames from a store, write them, and compare the methods.

Not called ``select.py``: Prefect puts this folder first on the import path when it loads a
deployment, and a module of that name would hide the standard library's.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow

from coreframe.flows.artifacts import page_address, show_outputs, show_page, show_quarantined
from coreframe.flows.choosing import Selecting
from coreframe.flows.cluster import open_cluster
from coreframe.flows.columns import add_given
from coreframe.flows.ingest import Ingested
from coreframe.flows.logs import LOGGER
from coreframe.flows.options import command
from coreframe.flows.outcome import outcome
from coreframe.flows.parameters import Compute, Picture
from coreframe.flows.preflight import output_folder
from coreframe.flows.preflight_choice import check_selecting
from coreframe.flows.record import ended, recorded, timed, versions
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import OutPath, PageUrl, StorePath, Wait
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError, ReadOnlyError
from coreframe.tasks.export.task import export_stage, raise_on_failures, take_out
from coreframe.tasks.forget.erase import erase_from_selection
from coreframe.tasks.measure.pairwise import L2_BIN
from coreframe.tasks.measure.task import metrics_stage
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.images import PictureSettings
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.result import Result
from coreframe.tasks.output.run import AddedColumns, ClassCount, Counts, Run, RunParameters
from coreframe.tasks.output.standing import columns_named
from coreframe.tasks.report.curve import find_knee, radius_curve
from coreframe.tasks.report.draw import prepare
from coreframe.tasks.report.facts import first_troubles, more_troubles
from coreframe.tasks.report.task import outputs_stage, page_stage
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import select_stage
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.lock import sole_writer
from coreframe.tasks.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(LOGGER)


@flow(name="select", flow_run_name=begun_name)
def select(
    store: StorePath,
    out: OutPath,
    selecting: Selecting = Selecting(),  # noqa: B008 - Prefect shows the default in its form
    picture: Picture = Picture(),  # noqa: B008
    compute: Compute = Compute(),  # noqa: B008
    wait: Wait = 0.0,
    page_url: PageUrl = None,
) -> dict[str, Any]:
    """Select from an existing store; nothing is decoded but the chosen frames.

    Returns:
        What ``run.json`` and ``metrics.json`` hold, under ``run`` and ``metrics``.
    """
    opened = Store.open(store)
    check_selecting(store, selecting)
    folder = output_folder(out)
    parameters = {
        "store": store,
        "out": out,
        "selecting": selecting.model_dump(),
        "picture": picture.model_dump(),
        "compute": compute.model_dump(),
    }
    timings: dict[str, float] = {}
    writes = selecting.name is not None or selecting.columns  # what the store keeps has one writer
    alone = wait if writes else None
    with recorded(opened, "select", parameters, alone) as record, open_cluster(compute) as cluster:
        videos = opened.read_catalogue().videos
        ingested = Ingested(videos, videos, added_columns=add_given(opened, selecting.columns))
        result = selection_stages(
            opened, folder, ingested, selecting, picture, compute, cluster, timings, parameters
        )
        record |= {"counts": result.run.counts.model_dump(), "timings_s": timings}
        record |= {"changes": ingested.changes, "warnings": result.run.warnings}
        show_page(folder, page_url)
        record["page"] = page_address(folder, page_url)
    return ended(result.to_json(), result.run.warnings)


def selection_stages(
    store: Store,
    out: Path,
    ingested: Ingested,
    selecting: Selecting,
    picture: Picture,
    compute: Compute,
    cluster: str,
    timings: dict[str, float],
    parameters: dict[str, Any],
) -> Result:
    """Select, export, metrics, report."""
    prepare()
    choice = selecting.choice()
    device = compute.device
    selection, table, exported = _chosen_and_written(
        store, out, choice, picture.settings(), device, cluster, timings
    )
    warned = ingested.look_again(store)
    with timed(timings, "metrics"):
        measured = metrics_stage(store, selection, choice, exported, device, cluster)
    length = selection.units.length
    metrics = Metrics(
        methods=measured.methods,
        selected=choice.method,
        sequence_length=length,
        l2_bin=L2_BIN,
        knee=find_knee(radius_curve(table, length)),
        storage=measured.storage,
        wishes=measured.wishes,
    )
    run = Run(
        parameters=RunParameters(**parameters),
        command=command(parameters),
        store=store.settings,
        corpus=store.read_catalogue().state(),
        columns=columns_named(store, parameters["selecting"]),
        changes=ingested.changes,
        troubles=first_troubles(ingested.videos, ingested.unread),
        more_troubles=more_troubles(ingested.videos, ingested.unread),
        versions=versions(),
        timings_s=timings,
        counts=_counts(store, ingested, selection, exported),
        classes=[ClassCount(**asdict(one)) for one in selection.classes],
        added_columns=[AddedColumns(**one) for one in ingested.added_columns],
        failures=[failure.sentence for failure in exported.failures],
        warnings=warned,
        outcome=outcome(ingested.videos, ingested.corrupt_threshold, exported.failures, warned),
    )
    outputs_stage(out, table, metrics, run)
    show_outputs(out, metrics)
    status.show("drawing the page")
    page_stage(store, choice, out, [], device, cluster, exported.small)
    raise_on_failures(exported)
    return Result(run, metrics)


def names_the_same(run: Run, ingested: Ingested) -> bool:
    """Whether the report of a run names the videos that are not ok now, and no others.

    Files that are no videos do not count, nor do the words for why: they change with versions.
    """
    now = first_troubles(ingested.videos, ingested.unread)
    named = [
        [
            (trouble.file, trouble.state)
            for trouble in troubles
            if trouble.state != VideoState.SKIPPED
        ]
        for troubles in (run.troubles, now)
    ]
    return named[0] == named[1]


def _chosen_and_written(
    store: Store,
    out: Path,
    choice: Choice,
    picture: PictureSettings,
    device: str,
    cluster: str,
    timings: dict[str, float],
) -> "tuple[Selection, pd.DataFrame, Exported]":
    """Choose frames and write them; where a video does not give them again, without that video.

    Each round takes such videos out of the corpus, so there is a last one. Where another run
    writes to the store none can be taken out, and the frames stay without a file.

    Returns:
        The selection, its frames with their files, and what was written.
    """
    while True:
        with timed(timings, "select"):
            selection = select_stage(store, choice, device, cluster)
        with timed(timings, "export"):
            table, exported = export_stage(store, selection, out, picture, cluster)
        if not exported.faults:
            return selection, table, exported
        try:
            with sole_writer(store, "a selection"):
                take_out(store, exported.faults)
                if choice.name is not None:  # or what was chosen beside them would stay chosen
                    erase_from_selection(store, choice.name, selection.added)
            show_quarantined(store, store.read_catalogue().videos)
        except (CoreframeError, ReadOnlyError, OSError) as error:
            logger.warning("nothing could be taken out of the corpus: %s", error)
            return selection, table, exported


def _counts(store: Store, ingested: Ingested, selection: Selection, exported: Exported) -> Counts:
    units = selection.units
    videos = store.read_catalogue().videos
    return Counts(
        **ingested.counts(),
        decodable_frames=selection.decodable,
        undecodable_frames=sum(video.undecodable for video in videos if video.active),
        suspect_frames=units.suspects,
        flat_frames=units.flats,
        outlier_frames=units.outliers,
        exact_duplicates=units.duplicates,
        rejected_frames=units.rejected,
        less_like_frames=units.less_like,
        frames_in_no_sequence=units.loose,
        frames_without_objects=None if selection.crops is None else units.empty,
        eligible_frames=int(units.eligible.sum()) * units.length,
        asked_frames=selection.asked,
        kept_frames=selection.kept,
        gone_frames=selection.gone,
        absent_frames=selection.absent,
        absent_images=exported.absent,
        selected_frames=len(selection.frames),
        stopped_by=selection.stopped_by,
        selection_passes=selection.passes,
        distances_formed=selection.distances_formed,
        rough_distances_formed=selection.rough_distances_formed,
        written_files=exported.files,
    )
