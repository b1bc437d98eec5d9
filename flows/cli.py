"""The ``coreframe`` command. Its options are those of `flows.parameters`."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import typer

from coreframe.flows.boxes import Boxes
from coreframe.flows.choosing import Selecting
from coreframe.flows.local_workers import LocalWorkers
from coreframe.flows.options import with_options
from coreframe.flows.parameters import Compute, Ingestion, Picture, Sources
from coreframe.flows.server import RunFlow, prefect_server
from coreframe.flows.short_commands import short
from coreframe.flows.supervisor import stopped, stopped_by
from coreframe.flows.training import Training
from coreframe.flows.values import (
    MetricsFile,
    OtherPaths,
    OutPath,
    PageUrl,
    Repair,
    SelectedPath,
    StorePath,
    TrainedPath,
    Version,
    Wait,
)
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.names import shown
from coreframe.tasks.video.discover import readable
from coreframe.tasks.video.listing import Unread

PREFECT_AND_DASK = {
    # A run's log goes to Prefect's server; the terminal gets bars, a table, or one sentence.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # A shell may expand a glob to far more names than Prefect's half a megabyte of parameters.
    "PREFECT_SERVER_API_MAX_PARAMETER_SIZE": str(64 * 1024 * 1024),
    "DASK_LOGGING__DISTRIBUTED": "error",
    # A command that is stopped leaves semaphores to Python's tracker, which removes them and says
    # so with the line of its source.
    "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
}
"""Environment of the command, where the user has not set it."""

INTERRUPTED = 130
"""What Typer gives after Ctrl-C."""

NAMED = 3
"""Folders named in a sentence."""

app = typer.Typer(
    name="coreframe",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


app.add_typer(short)


@app.callback()
@with_options
def options(version: Version) -> None:
    """Turn a corpus of videos into its most diverse frames, and prove it."""


@app.command()
@with_options
def curate(
    store: StorePath,
    out: OutPath,
    corpus: Sources,
    ingestion: Ingestion,
    selecting: Selecting,
    picture: Picture,
    compute: Compute,
    wait: Wait,
    page_url: PageUrl,
    metrics_file: MetricsFile,
) -> None:
    """Do everything: index, embed what is new, select, export, compare."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.flows.preflight_choice import check_queries, check_selecting

        preflight.check_compute(compute)
        check_selecting(store, selecting)
        preflight.check_metrics_file(metrics_file)
        followed = preflight.follow_store(store, ingestion, compute)
        check_queries(selecting, followed.embedder)
        _check_corpus(corpus, store, out)
        preflight.output_folder(out)
        preflight.open_store(store, ingestion, compute)
        from coreframe.flows.curate import curate as flow
        from coreframe.flows.terminal import show_result

        result = run(
            flow,
            store=store,
            out=out,
            corpus=corpus,
            ingestion=ingestion,
            selecting=selecting,
            picture=picture,
            compute=compute,
            wait=wait,
            page_url=page_url,
            metrics_file=metrics_file,
        )
        show_result(result, out)


@app.command()
@with_options
def ingest(
    store: StorePath,
    corpus: Sources,
    ingestion: Ingestion,
    compute: Compute,
    wait: Wait,
    metrics_file: MetricsFile,
) -> None:
    """Index the videos and embed the frames that the store lacks."""
    with _started(compute) as run:
        from coreframe.flows import preflight

        preflight.check_compute(compute)
        preflight.check_metrics_file(metrics_file)
        preflight.follow_store(store, ingestion, compute)
        _check_corpus(corpus, store)
        preflight.open_store(store, ingestion, compute)
        from coreframe.flows.ingest import ingest as flow
        from coreframe.flows.terminal import show_ingested

        result = run(
            flow,
            store=store,
            corpus=corpus,
            ingestion=ingestion,
            compute=compute,
            wait=wait,
            metrics_file=metrics_file,
        )
        show_ingested(result, store)


@app.command()
@with_options
def select(
    store: StorePath,
    out: OutPath,
    selecting: Selecting,
    picture: Picture,
    compute: Compute,
    wait: Wait,
    page_url: PageUrl,
) -> None:
    """Select from an existing store, write the frames, compare the methods."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.flows.preflight_choice import check_selecting
        from coreframe.tasks.store.store import Store

        preflight.check_compute(compute)
        Store.open(store)
        check_selecting(store, selecting)
        preflight.output_folder(out)
        from coreframe.flows.selection import select as flow
        from coreframe.flows.terminal import show_result

        result = run(
            flow,
            store=store,
            out=out,
            selecting=selecting,
            picture=picture,
            compute=compute,
            wait=wait,
            page_url=page_url,
        )
        show_result(result, out)


@app.command()
@with_options
def objects(
    store: StorePath, boxes: Boxes, compute: Compute, wait: Wait, metrics_file: MetricsFile
) -> None:
    """Embed what is in boxes of frames, for `select --objects` to choose by."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.tasks.store.store import Store

        preflight.check_compute(compute)
        Store.open(store)
        preflight.check_boxes(boxes.files, boxes.replace)
        preflight.check_metrics_file(metrics_file)
        preflight.follow_store(store, boxes.ingestion(), compute)
        from coreframe.flows.objects import objects as flow
        from coreframe.flows.terminal import show_objects

        result = run(
            flow, store=store, boxes=boxes, compute=compute, wait=wait, metrics_file=metrics_file
        )
        show_objects(result, store)


@app.command()
@with_options
def train(store: StorePath, out: TrainedPath, training: Training, compute: Compute) -> None:
    """Teach the simclr embedder on the frames of an existing store."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.tasks.store.store import Store

        preflight.check_compute(compute)
        Store.open(store)
        preflight.check_training(training)
        preflight.output_folder(out, inner=None)
        from coreframe.flows.terminal import show_trained
        from coreframe.flows.train import train as flow

        result = run(flow, store=store, out=out, training=training, compute=compute)
        show_trained(result, out)


@app.command()
@with_options
def check(
    store: StorePath, repair: Repair, compute: Compute, wait: Wait, metrics_file: MetricsFile
) -> None:
    """Verify all that a store holds against what was written."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.tasks.check.files import open_to_check

        preflight.check_compute(compute)
        open_to_check(store)
        preflight.check_metrics_file(metrics_file)
        from coreframe.flows.check import check as flow
        from coreframe.flows.terminal import show_checked

        result = run(
            flow, store=store, repair=repair, compute=compute, wait=wait, metrics_file=metrics_file
        )
        show_checked(result, store)


@app.command()
@with_options
def report(
    store: StorePath, out: SelectedPath, others: OtherPaths, compute: Compute, page_url: PageUrl
) -> None:
    """Make the page of a selection again, alone or beside others; nothing is selected."""
    with _started(compute) as run:
        from coreframe.flows import preflight
        from coreframe.tasks.store.store import Store

        preflight.check_compute(compute)
        preflight.check_output(Store.open(store), out, others)
        from coreframe.flows.report import report as flow
        from coreframe.flows.terminal import show_reported

        run(flow, store=store, out=out, others=others, compute=compute, page_url=page_url)
        show_reported(out)


def main() -> None:
    """Run the command; answer wrong use in one sentence and status 2, a failed run with 1."""
    for name, value in PREFECT_AND_DASK.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home")  # or refused
    logging.raiseExceptions = False  # of a server that takes no logs one sentence is enough
    if isinstance(sys.stdout, TextIOWrapper):  # whatever the terminal's alphabet, names are shown
        sys.stdout.reconfigure(errors="backslashreplace")
    for one in sys.argv[1:]:
        if readable(one) != one:
            _fail(f"the name {shown(one)} is not valid UTF-8: rename it", 2)
    try:
        if app(standalone_mode=False, prog_name="coreframe") == INTERRUPTED:
            raise KeyboardInterrupt  # Typer has caught it
        status.show("ending")  # Prefect and its server
    except (typer.Abort, KeyboardInterrupt):
        _fail(stopped(sys.argv), 128 + (stopped_by() or signal.SIGINT))
    except typer.TyperException as error:  # wrong use of the command line
        _fail(error.format_message() if hasattr(error, "format_message") else str(error), 2)
    except UsageError as error:
        _fail(str(error), 2)
    except CoreframeError as error:
        _fail(str(error), 1)
    except OSError as error:  # the system's refusal; Prefect's log has the traceback
        where = f"{shown(error.filename)}: " if isinstance(error.filename, str) else ""
        _fail(f"{where}{error.strerror or error}", 1)


@contextmanager
def _started(compute: Compute) -> Iterator[RunFlow]:
    """Begin to start what takes long, side by side with what is done within; run flows on it."""

    def prepare() -> None:
        if compute.cluster is None:
            LocalWorkers.of(compute).prepare()

    with prefect_server(prepare) as run:
        yield run


def _check_corpus(corpus: Sources, store: str, out: str | None = None) -> None:
    """Refuse a corpus that can only be a mistake, and say on one line what of it cannot be read.

    A log in JSON says the latter in its own way.
    """
    from coreframe.flows import preflight

    unread: list[Unread] = []
    preflight.check_corpus(corpus, store, out, unread.append)
    if unread and not logging.getLogger("coreframe").handlers:
        status.hide()
        named = ", ".join(f"{one.path} ({one.why})" for one in unread[:NAMED])
        more = f" and {len(unread) - NAMED:,} more" if len(unread) > NAMED else ""
        print(f"coreframe: left out, since it cannot be read: {named}{more}.", file=sys.stderr)


def _fail(sentence: str, code: int) -> None:
    status.hide()
    sys.stdout.flush()
    line = shown(" ".join(sentence.splitlines()))
    print(f"coreframe: {line.rstrip('.')}.", file=sys.stderr)
    sys.exit(code)
