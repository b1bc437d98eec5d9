"""Commands that need neither a cluster nor Prefect's server: they look at a store, or keep it."""

import typer

from coreframe.flows.options import with_options
from coreframe.flows.values import (
    ColumnsFile,
    ColumnsName,
    Destination,
    DryRun,
    ForgottenVideos,
    Format,
    Found,
    Least,
    MinApart,
    Most,
    Queries,
    SelectedPath,
    SheetPath,
    StoreOfSelection,
    StorePath,
    Unforget,
    Unlike,
    Wait,
    Where,
)
from coreframe.tasks import status

short = typer.Typer()
columns = typer.Typer(no_args_is_help=True)
short.add_typer(columns, name="columns")


@short.command()
@with_options
def forget(
    videos: ForgottenVideos, store: StorePath, unforget: Unforget, dry_run: DryRun, wait: Wait
) -> None:
    """Remove videos and their frames from a store for good; later runs pass them over.

    A content is forgotten as a whole, with all copies. Only its fingerprint is remembered.
    """
    from coreframe.flows import forget as forgetting
    from coreframe.flows.terminal import show_forgotten, show_unforgotten

    if unforget:
        show_unforgotten(forgetting.unforget(store, videos, wait), store)
    else:
        show_forgotten(forgetting.forget(store, videos, wait, dry_run=dry_run), store)


@columns.callback()
def columns_options() -> None:
    """Keep what you know of frames in a store, to choose by."""


@columns.command("add")
@with_options
def columns_add(name: ColumnsName, file: ColumnsFile, store: StorePath, wait: Wait) -> None:
    """Keep a file's columns in a store, joined with its frames.

    What NAME held of videos that the file names is replaced, the rest stays.
    """
    from coreframe.flows import columns as kept
    from coreframe.flows.terminal import show_added

    show_added(kept.add(store, name, file, wait))


@columns.command("list")
@with_options
def columns_list(store: StorePath) -> None:
    """Say which columns a store has."""
    from coreframe.flows.terminal import show_columns
    from coreframe.tasks.store.store import Store

    show_columns(Store.open(store))


@columns.command("drop")
@with_options
def columns_drop(name: ColumnsName, store: StorePath, wait: Wait) -> None:
    """Remove a store's columns of that name."""
    from coreframe.flows import columns as kept

    kept.drop(store, name, wait)


@short.command()
@with_options
def info(store: StorePath) -> None:
    """Say what a store holds."""
    from coreframe.flows.terminal import show_store
    from coreframe.tasks.store.store import Store

    show_store(Store.open(store))


@short.command()
@with_options
def search(
    queries: Queries,
    store: StorePath,
    unlike: Unlike,
    n_samples: Found,
    min_apart: MinApart,
    where: Where,
    min: Least,
    max: Most,
    out: SheetPath,
) -> None:
    """Show the frames that are most like file:PATH, frame:VIDEO@TIME or text:WORDS.

    Of several queries the nearest counts.
    """
    from coreframe.corpus import open as open_corpus
    from coreframe.flows.preflight_choice import check_sheet
    from coreframe.flows.terminal import show_found

    check_sheet(out)
    with open_corpus(store) as corpus:
        status.show("searching")
        found = corpus.search(
            *queries,
            unlike=unlike,
            n_samples=n_samples,
            min_apart=min_apart,
            where=where,
            min=min,
            max=max,
        )
        status.show("decoding what was found")
        found.save(out)
    show_found(found.frames.to_dict("records"), found.within, out)


@short.command()
@with_options
def export(out: SelectedPath, to: Format, dest: Destination, store: StoreOfSelection) -> None:
    """Write a selection as a dataset that other tools read.

    Images are hard links to those in OUT/frames, or copies where links are not possible;
    webdataset holds copies, csv none. A second export replaces the first as a whole, unless files
    were added or changed there.
    """
    from coreframe.flows.terminal import show_exported
    from coreframe.tasks.datasets.formats import export_dataset

    status.show("writing the dataset")
    show_exported(export_dataset(out, to, dest, store), to)
