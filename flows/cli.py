"""The ``coreframe`` command."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from tasks.errors import CoreframeError, UsageError

QUIET = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The temporary server takes 20 s on a cold machine, which is Prefect's own limit.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "DASK_LOGGING__DISTRIBUTED": "error",
}

app = typer.Typer(
    name="coreframe",
    help="Turn a corpus of videos into its most diverse frames, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Videos = Annotated[
    list[str] | None,
    typer.Argument(metavar="VIDEOS...", help="Files, folders (searched recursively) and globs."),
]
StorePath = Annotated[str, typer.Option("--store", help="Folder of the embeddings.")]
OutPath = Annotated[str, typer.Option("--out", help="Folder for frames, tables and report.")]
FilesFrom = Annotated[str | None, typer.Option(help="A text file with one path a line.")]
Include = Annotated[list[str] | None, typer.Option(help="Keep only names matching this glob; repeatable.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Drop names matching this glob; repeatable.")]
CorruptThreshold = Annotated[
    float, typer.Option(help="Share of broken videos above which the run ends in an error.")
]
SampleFps = Annotated[
    str | None, typer.Option(help="Frames per second to keep, as ffmpeg -vf fps does [default: all].")
]
Every = Annotated[int, typer.Option(help="Keep every n-th frame.")]
Crop = Annotated[
    str | None, typer.Option(help="W:H:X:Y in upright pixels, of what is embedded and exported.")
]
Embedder = Annotated[str, typer.Option(help="How frames are embedded: descriptor.")]
InputSize = Annotated[int | None, typer.Option(help="Side in pixels of what is embedded [default: 64].")]
BatchSize = Annotated[int, typer.Option(help="Frames embedded at once.")]
BlockRows = Annotated[int | None, typer.Option(help="Rows a block of a new store [default: 1024].")]
Method = Annotated[str, typer.Option(help="coreset, random or fixed-rate.")]
NSamples = Annotated[
    int | None, typer.Option(help="Frames at most [default: 100 when no budget is given].")
]
Proportion = Annotated[float | None, typer.Option(help="Share of the decodable frames at most.")]
MinDistance = Annotated[
    float | None, typer.Option(help="L2 (0 to 2) that any two selected frames are apart at least.")
]
Seed = Annotated[int, typer.Option(help="Of the random method.")]
KeepDuplicates = Annotated[
    bool, typer.Option("--keep-exact-duplicates", help="Allow frames equal to an earlier one.")
]
Resize = Annotated[str | None, typer.Option(help="WxH, Wx or xH of exported frames.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg or webp.")]
Quality = Annotated[int, typer.Option(help="Of jpg and webp, 1 to 100.")]
Workers = Annotated[int | None, typer.Option(help="Local processes [default: one a core or GPU].")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="tcp://... of a Dask scheduler, or a file naming it.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@app.command()
def curate(
    store: StorePath,
    out: OutPath,
    videos: Videos = None,
    files_from: FilesFrom = None,
    include: Include = None,
    exclude: Exclude = None,
    corrupt_threshold: CorruptThreshold = 0.1,
    sample_fps: SampleFps = None,
    every: Every = 1,
    crop: Crop = None,
    embedder: Embedder = "descriptor",
    input_size: InputSize = None,
    batch_size: BatchSize = 64,
    block_rows: BlockRows = None,
    method: Method = "coreset",
    n_samples: NSamples = None,
    proportion: Proportion = None,
    min_distance: MinDistance = None,
    seed: Seed = 0,
    keep_exact_duplicates: KeepDuplicates = False,
    resize: Resize = None,
    format: Format = "png",
    quality: Quality = 95,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
) -> None:
    """Do everything: index, embed what is new, select, export, compare."""
    given = dict(locals())
    parameters = _parameters(given, "Corpus", "Ingestion", "Selecting", "Picture", "Compute")
    _prepare()
    from flows.curate import curate as flow
    from flows.ingest import check_corpus

    check_corpus(parameters["corpus"], [])
    _show(flow(store=store, out=out, **parameters), out)


@app.command()
def ingest(
    store: StorePath,
    videos: Videos = None,
    files_from: FilesFrom = None,
    include: Include = None,
    exclude: Exclude = None,
    corrupt_threshold: CorruptThreshold = 0.1,
    sample_fps: SampleFps = None,
    every: Every = 1,
    crop: Crop = None,
    embedder: Embedder = "descriptor",
    input_size: InputSize = None,
    batch_size: BatchSize = 64,
    block_rows: BlockRows = None,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
) -> None:
    """Index the videos and embed the frames that the store lacks."""
    given = dict(locals())
    parameters = _parameters(given, "Corpus", "Ingestion", "Compute")
    _prepare()
    from flows.ingest import ingest as flow

    result = flow(store=store, **parameters)
    counts = result["counts"]
    typer.echo(f"{_files(counts['files'])}; {counts['embedded_frames']:,} frames embedded into {store}")


@app.command()
def select(
    store: StorePath,
    out: OutPath,
    method: Method = "coreset",
    n_samples: NSamples = None,
    proportion: Proportion = None,
    min_distance: MinDistance = None,
    seed: Seed = 0,
    keep_exact_duplicates: KeepDuplicates = False,
    resize: Resize = None,
    format: Format = "png",
    quality: Quality = 95,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
) -> None:
    """Select from an existing store, write the frames, compare the methods."""
    given = dict(locals())
    parameters = _parameters(given, "Selecting", "Picture", "Compute")
    _prepare()
    from flows.selection import select as flow

    _show(flow(store=store, out=out, **parameters), out)


@app.command()
def info(store: StorePath) -> None:
    """Say what a store holds."""
    from rich.console import Console
    from rich.table import Table

    from tasks.store.store import Store

    opened = Store.open(store)
    catalogue = opened.read_catalogue()
    settings = opened.settings
    console = Console()
    videos = [video for video in catalogue.videos if video.active]
    console.print(f"{store}: {sum(v.decoded for v in videos):,} embedded frames of {len(videos):,} videos")
    console.print(
        f"embedder {settings.embedder} ({settings.dim} numbers a frame), sampling {settings.sampling}, "
        f"crop {settings.crop or 'none'}, {settings.block_rows:,} rows a block"
    )
    table = Table("video", "state", "frames", "embedded", "size", "codec", "seconds", "why")
    for video in catalogue.videos:
        table.add_row(
            video.path,
            video.state,
            f"{video.frame_count:,}",
            f"{video.decoded:,}",
            f"{video.width}x{video.height}" if video.width else "",
            video.codec,
            f"{video.duration_s:.2f}" if video.width else "",
            video.reason or video.note,
        )
    console.print(table)


def main() -> None:
    """Run the command; answer wrong use in one sentence and status 2, a failed run with 1."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted; run the same command again to continue.", 130)
    except typer.TyperException as error:  # wrong use of the command line
        _fail(error.format_message() if hasattr(error, "format_message") else str(error), 2)
    except UsageError as error:
        _fail(str(error), 2)
    except CoreframeError as error:
        _fail(str(error), 1)


def _fail(sentence: str, status: int) -> None:
    sys.stdout.flush()
    print(f"coreframe: {sentence}", file=sys.stderr)
    sys.exit(status)


def _prepare() -> None:
    """Keep Prefect from printing an error's traceback that the command says in a sentence."""
    import prefect  # noqa: F401 - its import configures logging, which the next lines correct

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the command reports errors itself


def _parameters(given: dict[str, Any], *models: str) -> dict[str, BaseModel]:
    """Make the flow's parameter models from the command's options.

    Raises:
        UsageError: the first value that a model refuses, in one sentence.
    """
    from flows import parameters
    from tasks.embedding.embedder import load_embedder, resolve_device

    made: dict[str, Any] = {}
    for name in models:
        model = getattr(parameters, name)
        values = {key: given[key] for key in model.model_fields if given[key] is not None}
        try:
            made[name.lower()] = model(**values)
        except ValidationError as error:
            raise UsageError(_sentence(error)) from error
    resolve_device(made["compute"].device)
    if "ingestion" in made:
        load_embedder(made["compute"].embedder(made["ingestion"]))
    return made


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not option:
        return f"{message}."
    return f"--{option} {first['input']}: {message[0].lower()}{message[1:]}."


def _show(result: dict[str, Any], out: str) -> None:
    """The final table, and what to open first."""
    from rich.console import Console
    from rich.table import Table

    from tasks.reporting.tables import comparison, size

    run, metrics = result["run"], result["metrics"]
    counts, storage = run["counts"], metrics["storage"]
    console = Console()
    rows = comparison(metrics["methods"], metrics["selected"])
    table = Table(*rows[0])
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row.values(), style="bold" if "(selected)" in row["method"] else None)
    console.print(table)
    say: Callable[..., None] = lambda text: console.print(text, highlight=False, soft_wrap=True)  # noqa: E731
    say(f"{_files(counts['files'])}; {counts['exact_duplicates']:,} exact duplicates dropped")
    if counts["selected_frames"] < counts["wanted_frames"] and counts["stopped_by"] != "min_distance":
        say(
            f"{counts['wanted_frames']:,} frames were asked for, but there are only "
            f"{counts['eligible_frames']:,} to choose from: all of them are selected"
        )
    if storage["reduction_factor"]:
        say(
            f"kept {size(storage['kept_frames_bytes'])} in {storage['kept_frames']:,} frames instead of "
            f"{size(storage['all_frames_png_bytes'])} as PNGs ({storage['reduction_factor']:,.0f} times less)"
        )
    say(f"open {os.path.join(out, 'report.md')} first; the frames are in {os.path.join(out, 'frames')}")


def _files(states: dict[str, int]) -> str:
    total = sum(states.values())
    return f"{total:,} files: " + ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))


if __name__ == "__main__":
    main()
