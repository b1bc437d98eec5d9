"""The ``coreframe`` command."""

import os
import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from coreframe.tasks.errors import CoreframeError, UsageError

SETTINGS = {
    # A run's log goes to Prefect's server; the terminal gets bars, a table, or one sentence.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # The temporary server takes 20 s on a cold machine, which is Prefect's own limit.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # A shell may expand a glob to far more names than Prefect's half a megabyte of parameters.
    "PREFECT_SERVER_API_MAX_PARAMETER_SIZE": str(64 * 1024 * 1024),
    "DASK_LOGGING__DISTRIBUTED": "error",
}

app = typer.Typer(
    name="coreframe",
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
Include = Annotated[
    list[str] | None, typer.Option(help="Keep only names matching this glob; repeatable.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Drop names matching this glob; repeatable.")
]
CorruptThreshold = Annotated[
    float, typer.Option(help="Share of broken videos above which the run ends in an error.")
]
VideoTimeout = Annotated[
    float, typer.Option(help="Seconds without a frame after which a video is quarantined.")
]
RetryQuarantined = Annotated[
    bool, typer.Option("--retry-quarantined", help="Try videos again that killed workers.")
]
SampleFps = Annotated[
    str | None,
    typer.Option(help="Frames per second to keep, as ffmpeg -vf fps does [default: all]."),
]
Every = Annotated[int, typer.Option(help="Keep every n-th frame.")]
Crop = Annotated[
    str | None, typer.Option(help="W:H:X:Y in upright pixels, of what is embedded and exported.")
]
Embedder = Annotated[
    str,
    typer.Option(help="descriptor, hf:ID or hf:FOLDER of a Hugging Face model, simclr:FOLDER."),
]
InputSize = Annotated[
    int | None, typer.Option(help="Side in pixels of what is embedded [default: the embedder's].")
]
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
Radius = Annotated[
    float | None, typer.Option(help="L2 within which every frame has a selected one: stop then.")
]
Minimum = Annotated[
    list[str] | None,
    typer.Option("--min", help="sharpness=V or luminance=V: choose no frame below; repeatable."),
]
Maximum = Annotated[
    list[str] | None,
    typer.Option("--max", help="sharpness=V or luminance=V: choose no frame above; repeatable."),
]
PreferSharp = Annotated[
    float, typer.Option(help="0 to 1: how much farther a blurred frame must lie to be chosen.")
]
MinPerVideo = Annotated[int, typer.Option(help="Frames of every video at least.")]
MaxPerVideo = Annotated[int | None, typer.Option(help="Frames of any video at most.")]
SequenceLength = Annotated[
    int, typer.Option(help="Choose runs of so many consecutive sampled frames.")
]
Preselected = Annotated[
    str | None,
    typer.Option(help="Frames to start from: a selection.parquet, or CSV of video,frame_index."),
]
CountPreselected = Annotated[
    bool, typer.Option("--count-preselected", help="They count towards the number asked for.")
]
Name = Annotated[
    str | None, typer.Option(help="Keep the selection in the store under this name; extend it.")
]
DropGone = Annotated[
    bool, typer.Option("--drop-gone", help="With --name: drop frames whose videos are gone.")
]
MemoryLimit = Annotated[
    str | None, typer.Option(help="Of each local process, such as 2GB [default: all there is].")
]
Seed = Annotated[int, typer.Option(help="Of the random method.")]
KeepDuplicates = Annotated[
    bool, typer.Option("--keep-exact-duplicates", help="Allow frames equal to an earlier one.")
]
Resize = Annotated[str | None, typer.Option(help="WxH, Wx or xH of exported frames.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg or webp.")]
Quality = Annotated[int, typer.Option(help="Of jpg and webp, 1 to 100.")]
TrainedPath = Annotated[str, typer.Option("--out", help="Folder for checkpoint and loss curve.")]
MaxEpochs = Annotated[int, typer.Option(help="Times every frame is shown.")]
TrainingBatchSize = Annotated[
    int, typer.Option("--batch-size", help="Frames a step, each seen as two views.")
]
TrainingInputSize = Annotated[
    int | None,
    typer.Option("--input-size", help="Side in pixels [default: the checkpoint's, or 64]."),
]
CheckpointOption = Annotated[
    str | None, typer.Option(help="Start from this one, a file or folder that training wrote.")
]
MaxFrames = Annotated[int, typer.Option(help="Of more, so many at an even stride are shown.")]
TrainingSeed = Annotated[int, typer.Option("--seed", help="Of weights, order and views.")]
Workers = Annotated[int | None, typer.Option(help="Local processes [default: one a core or GPU].")]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", help="tcp://... of a Dask scheduler, or a file naming it."),
]
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for another run that writes to the store.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SelectedPath = Annotated[str, typer.Option("--out", help="Folder that curate or select wrote.")]
To = Annotated[str, typer.Option("--to", help="imagefolder, webdataset, coco, fiftyone or csv.")]
Destination = Annotated[
    str | None, typer.Option("--dest", help="Folder to write or replace [default: OUT/FORMAT].")
]
EmbeddingsOf = Annotated[
    str | None,
    typer.Option("--store", help="For csv [default: the store that the selection is from]."),
]


@app.callback()
def options(
    log_json: Annotated[
        bool,
        typer.Option("--log-json", help="Log to the error stream, a line of JSON for each event."),
    ] = False,
) -> None:
    """Turn a corpus of videos into its most diverse frames, and prove it."""
    if log_json:
        from coreframe.flows.logs import log_json as begin

        begin()


@app.command()
def curate(
    store: StorePath,
    out: OutPath,
    videos: Videos = None,
    files_from: FilesFrom = None,
    include: Include = None,
    exclude: Exclude = None,
    corrupt_threshold: CorruptThreshold = 0.1,
    video_timeout: VideoTimeout = 300.0,
    retry_quarantined: RetryQuarantined = False,
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
    radius: Radius = None,
    seed: Seed = 0,
    keep_exact_duplicates: KeepDuplicates = False,
    min: Minimum = None,
    max: Maximum = None,
    prefer_sharp: PreferSharp = 0.0,
    min_per_video: MinPerVideo = 0,
    max_per_video: MaxPerVideo = None,
    sequence_length: SequenceLength = 1,
    preselected: Preselected = None,
    count_preselected: CountPreselected = False,
    name: Name = None,
    drop_gone: DropGone = False,
    resize: Resize = None,
    format: Format = "png",
    quality: Quality = 95,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
    wait: Wait = 0.0,
) -> None:
    """Do everything: index, embed what is new, select, export, compare."""
    given = dict(locals())
    parameters = _parameters(given, "Corpus", "Ingestion", "Selecting", "Picture", "Compute")
    _check(store, out, parameters)
    from coreframe.flows.curate import curate as flow
    from coreframe.flows.terminal import show_result

    show_result(flow(store=store, out=out, wait=wait, **parameters), out)


@app.command()
def ingest(
    store: StorePath,
    videos: Videos = None,
    files_from: FilesFrom = None,
    include: Include = None,
    exclude: Exclude = None,
    corrupt_threshold: CorruptThreshold = 0.1,
    video_timeout: VideoTimeout = 300.0,
    retry_quarantined: RetryQuarantined = False,
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
    memory_limit: MemoryLimit = None,
    wait: Wait = 0.0,
) -> None:
    """Index the videos and embed the frames that the store lacks."""
    given = dict(locals())
    parameters = _parameters(given, "Corpus", "Ingestion", "Compute")
    _check(store, None, parameters)
    from coreframe.flows.ingest import ingest as flow
    from coreframe.flows.terminal import show_ingested

    show_ingested(flow(store=store, wait=wait, **parameters), store)


@app.command()
def select(
    store: StorePath,
    out: OutPath,
    method: Method = "coreset",
    n_samples: NSamples = None,
    proportion: Proportion = None,
    min_distance: MinDistance = None,
    radius: Radius = None,
    seed: Seed = 0,
    keep_exact_duplicates: KeepDuplicates = False,
    min: Minimum = None,
    max: Maximum = None,
    prefer_sharp: PreferSharp = 0.0,
    min_per_video: MinPerVideo = 0,
    max_per_video: MaxPerVideo = None,
    sequence_length: SequenceLength = 1,
    preselected: Preselected = None,
    count_preselected: CountPreselected = False,
    name: Name = None,
    drop_gone: DropGone = False,
    resize: Resize = None,
    format: Format = "png",
    quality: Quality = 95,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
    wait: Wait = 0.0,
) -> None:
    """Select from an existing store, write the frames, compare the methods."""
    given = dict(locals())
    parameters = _parameters(given, "Selecting", "Picture", "Compute")
    _check(store, out, parameters)
    from coreframe.flows.selection import select as flow
    from coreframe.flows.terminal import show_result

    show_result(flow(store=store, out=out, wait=wait, **parameters), out)


@app.command()
def train(
    store: StorePath,
    out: TrainedPath,
    max_epochs: MaxEpochs = 10,
    batch_size: TrainingBatchSize = 128,
    input_size: TrainingInputSize = None,
    checkpoint: CheckpointOption = None,
    max_frames: MaxFrames = 100_000,
    seed: TrainingSeed = 0,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
) -> None:
    """Teach the simclr embedder on the frames of an existing store."""
    given = dict(locals())
    parameters = _parameters(given, "Training", "Compute")
    _check(store, out, parameters)
    from coreframe.flows.terminal import show_trained
    from coreframe.flows.train import train as flow

    show_trained(flow(store=store, out=out, **parameters), out)


@app.command()
def check(
    store: StorePath,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take back what is bad; the next run embeds it anew.")
    ] = False,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
    wait: Wait = 0.0,
) -> None:
    """Verify every block of a store against its commit."""
    given = dict(locals())
    parameters = _parameters(given, "Compute")
    _check(store, None, parameters)
    from coreframe.flows.check import check as flow
    from coreframe.flows.terminal import show_checked

    show_checked(flow(store=store, repair=repair, wait=wait, **parameters), store)


@app.command()
def report(
    store: StorePath,
    out: Annotated[str, typer.Option("--out", help="Folder of the selection to report on.")],
    others: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OUT2...]", help="Folders of other selections to show beside it."),
    ] = None,
    workers: Workers = None,
    cluster: ClusterOption = None,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
) -> None:
    """Make the page of a selection again, alone or beside others; nothing is selected."""
    given = dict(locals())
    parameters = _parameters(given, "Compute")
    from coreframe.flows.preflight import check_output
    from coreframe.tasks.store.store import Store

    check_output(Store.open(store), out, others or [])
    from coreframe.flows.report import report as flow
    from coreframe.flows.terminal import show_reported

    flow(store=store, out=out, others=others, **parameters)
    show_reported(out)


@app.command()
def info(store: StorePath) -> None:
    """Say what a store holds."""
    from coreframe.flows.terminal import show_store
    from coreframe.tasks.store.store import Store

    show_store(Store.open(store))


@app.command()
def export(out: SelectedPath, to: To, dest: Destination = None, store: EmbeddingsOf = None) -> None:
    """Write a selection as a dataset that other tools read.

    Images are hard links to those in OUT/frames, or copies where links are not possible;
    webdataset holds copies, csv none. A second export replaces the first as a whole, unless files
    were added or changed there.
    """
    from coreframe.flows.terminal import show_exported
    from coreframe.tasks.datasets.formats import export_dataset

    show_exported(export_dataset(out, to, dest, store), to)


def main() -> None:
    """Run the command; answer wrong use in one sentence and status 2, a failed run with 1."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        kept = "run the same command again to continue"
        if "train" in sys.argv[1:2]:
            kept = "the checkpoint of the last whole epoch is in the output folder"
        _fail(f"interrupted; {kept}.", 130)
    except typer.TyperException as error:  # wrong use of the command line
        _fail(error.format_message() if hasattr(error, "format_message") else str(error), 2)
    except UsageError as error:
        _fail(str(error), 2)
    except CoreframeError as error:
        _fail(str(error), 1)


def _fail(sentence: str, status: int) -> None:
    sys.stdout.flush()
    line = " ".join(sentence.splitlines())  # a file's name may hold line ends
    print(f"coreframe: {line.rstrip('.')}.", file=sys.stderr)
    sys.exit(status)


def _parameters(given: dict[str, Any], *models: str) -> dict[str, Any]:
    """Make the flow's parameter models from the command's options.

    Raises:
        UsageError: the first value that a model refuses, in one sentence.
    """
    from coreframe.flows import parameters
    from coreframe.tasks.device import resolve_device
    from coreframe.tasks.embedders.embedder import embedder_facts

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
        embedder_facts(made["compute"].embedder(made["ingestion"]))
    return made


def _check(store: str, out: str | None, parameters: dict[str, Any]) -> None:
    """Make the flow's own checks before a Prefect server is started for it."""
    from coreframe.flows.preflight import (
        check_corpus,
        check_selecting,
        check_training,
        open_store,
        output_folder,
    )
    from coreframe.tasks.store.store import Store

    if "corpus" in parameters:
        check_corpus(parameters["corpus"], store, out)
    else:
        Store.open(store)
    if "selecting" in parameters:
        check_selecting(store, parameters["selecting"])
    if "training" in parameters:
        check_training(parameters["training"])
    if out is not None:
        output_folder(out, inner=None if "training" in parameters else "frames")
    if "corpus" in parameters:
        open_store(store, parameters["ingestion"], parameters["compute"])


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not option:
        return f"{message}."
    given = first["input"]
    value = " ".join(map(str, given)) if isinstance(given, list) else given
    return f"--{option} {value}: {message[0].lower()}{message[1:]}."


if __name__ == "__main__":
    main()
