"""What is refused before any work begins, and what ends a run in an error after it.

Nothing here imports Prefect or Dask, and torch only what is asked of an embedder or a GPU, so the
command answers wrong use at once.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import NEW_STORE, Compute, Ingestion, Sources
from coreframe.flows.training import Training
from coreframe.tasks import status
from coreframe.tasks.datasets.formats import DATASET_FORMATS
from coreframe.tasks.device import has_gpu_driver
from coreframe.tasks.errors import (
    BrokenVideoError,
    CoreframeError,
    NotAVideoError,
    UsageError,
)
from coreframe.tasks.output.files import PLOTS
from coreframe.tasks.output.folder import OutputFolder, refuse_newer
from coreframe.tasks.store.settings import StoreSettings
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile, discover, readable
from coreframe.tasks.video.listing import Tell, Unread
from coreframe.tasks.video.look import Looker
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import AS_SHOWN, Crop

OWN = ("frames", PLOTS, *DATASET_FORMATS)
"""Folders inside an output folder that hold images and no videos."""

LOOKING_S = 10.0
"""For all files together that are opened before anything is started. What did not come by then is
left to the index stage, which opens many files at once and ends what hangs."""

VIEWED = ("pixels", "tone_map", "deinterlace", "stream")
"""Options that are settings of a store under the same name, with the same values."""


def check_compute(compute: Compute) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    if compute.device == "cuda":
        from coreframe.tasks.device import resolve_device

        resolve_device(compute.device)


def check_metrics_file(path: str | None) -> None:
    """Refuse a place for Prometheus' numbers where no file can be made.

    Raises:
        UsageError: naming the folder and the reason.
    """
    if path is None:
        return
    folder = Path(path).absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        why = "may not be written to by this user" if folder.is_dir() else "is no folder"
        raise UsageError(
            f"cannot write the metrics file {path}: {folder} {why}. Name a file in the folder of "
            "the node exporter's textfile collector."
        )


def check_corpus(
    corpus: Sources, store: str, out: str | None = None, tell: Tell = lambda _: None
) -> list[SourceFile]:
    """Find the files, and refuse what can only be a mistake before anything is started.

    Args:
        corpus: which files.
        store: the run's store, never searched for videos.
        out: the run's output folder, of which no folder of ours is searched either.
        tell: is told of folders and links that cannot be looked at.

    Raises:
        UsageError: nothing to work on, a file named explicitly that is no video, or an output
            folder of a newer version.
    """
    if out is not None:
        refuse_newer(Path(out).absolute())
    if not corpus.videos and corpus.files_from is None:
        raise UsageError("no videos given: name files, folders or globs, or use --files-from FILE.")
    for given in corpus.videos:
        if readable(given) != given:
            raise UsageError(f"the name {readable(given)} is not valid UTF-8: rename it.")
    status.show("looking at the videos")
    unread: list[Unread] = []
    files = discover(
        corpus.videos,
        files_from=corpus.files_from,
        include=corpus.include,
        exclude=corpus.exclude,
        ignore=[Path(store).absolute(), *(Path(out).absolute() / own for own in OWN if out)],
        tell=unread.append,
    )
    for one in unread:
        tell(one)
    refusals = _refuse_what_is_no_video(files, corpus.max_frames_per_file)
    if refusals is not None:
        closed = [f"{one.path} cannot be read ({one.why})" for one in unread]
        raise none_found(corpus, len(files), [*closed, *refusals])
    return files


def none_found(corpus: Sources, count: int, refusals: Sequence[str]) -> UsageError:
    """What to say of so many files of which none is a video."""
    given = ", ".join(corpus.videos) or str(corpus.files_from)
    looked_at = f"{count} file{'s' * (count != 1)} looked at"
    return UsageError("; ".join([f"no videos found in {given} ({looked_at})", *refusals[:2]]) + ".")


def _refuse_what_is_no_video(files: Sequence[SourceFile], most_frames: int) -> list[str] | None:
    """Open all files named explicitly, and of the others until one is a video, for a short time.

    Returns:
        None where there is a video, or may be; else what the files are.

    Raises:
        UsageError: a file named explicitly is no video.
    """
    refusals = []
    found = unsure = False
    until = time.monotonic() + LOOKING_S
    with Looker() as looker:
        for file in files:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return None
            if found and not file.explicit:
                continue  # one is enough to begin with; the index stage looks at every file
            try:
                looker.look(file.path, most_frames, left_s)
                found = True
            except NotAVideoError as error:
                if file.explicit:
                    raise not_a_video(file, str(error)) from error
                refusals.append(f"{file.name}: {error}")
            except BrokenVideoError as error:
                refusals.append(f"{file.name}: {error}")
            except (TimeoutError, EOFError):
                unsure = True
    return None if found or unsure else refusals


def not_a_video(file: SourceFile, reason: str) -> UsageError:
    """What to say of a file named explicitly that is no video."""
    return UsageError(f"{file.path} is not a video: {reason}. Leave it out.")


def follow_store(store: str, ingestion: Ingestion, compute: Compute) -> Ingestion:
    """Fill in what was not given: as the store has it, or as a new one gets it.

    The rule is that of `coreframe.tasks.store.settings`.

    Raises:
        UsageError: the store cannot be read, the embedder not be used, or a GPU is to decode that
            is not to be used.
    """
    from coreframe.tasks.embedders.embedder import embedder_facts

    if ingestion.decoder == "gpu":
        if compute.device == "cpu":
            raise UsageError(
                "--decoder gpu and --device cpu: frames that a GPU decodes are embedded there. "
                "Leave one of them out."
            )
        if compute.cluster is None and not has_gpu_driver():
            raise UsageError("--decoder gpu: there is no NVIDIA driver here. Leave it out.")
    if not Store.exists(store):
        followed = _filled(ingestion, NEW_STORE)
        embedder_facts(compute.embedder(followed))
        return followed
    made = Store.open(store).settings
    followed = _filled(ingestion, _as_options(made, ingestion))
    if ingestion.input_size is None:
        followed = _same_size(followed, compute, made.input_px)
    follows = ingestion.embedder is None and ingestion.input_size is None
    try:
        facts = embedder_facts(compute.embedder(followed))
    except UsageError as error:
        if not follows:
            raise
        raise UsageError(
            f"the store {store} was made with the embedder {made.embedder}, which cannot be used "
            f"here: {str(error).rstrip('.')}. Name with --embedder where it is now."
        ) from error
    if follows and facts.fingerprint != made.fingerprint:
        raise UsageError(
            f"the store {store} was made with the embedder {made.embedder} when it was "
            f"{made.fingerprint}, and now it is {facts.fingerprint}: name with --embedder where "
            "the earlier one is, or name another store."
        )
    return followed


def _filled(ingestion: Ingestion, values: Mapping[str, Any]) -> Ingestion:
    missing = {name: one for name, one in values.items() if getattr(ingestion, name) is None}
    return ingestion.model_copy(update=missing)


def _as_options(made: StoreSettings, ingestion: Ingestion) -> dict[str, Any]:
    """The options that ask for what made a store; of sampling only where none is asked for."""
    sampling = Sampling()
    if ingestion.sample_fps is None and ingestion.every is None:
        sampling = Sampling.parse(made.sampling)
    return {
        "sample_fps": None if sampling.fps is None else str(sampling.fps),
        "every": sampling.every,
        "crop": made.crop or None,
        "embedder": made.embedder,
        **{name: getattr(made, name) for name in VIEWED},
    }


def _same_size(ingestion: Ingestion, compute: Compute, input_px: int) -> Ingestion:
    """Ask for the store's input size where the embedder has another of its own but can take it."""
    from coreframe.tasks.embedders.embedder import embedder_facts

    sized = ingestion.model_copy(update={"input_size": input_px})
    with suppress(UsageError):  # whoever loads it next hears why
        if embedder_facts(compute.embedder(ingestion)).input_px != input_px:
            embedder_facts(compute.embedder(sized))
            return sized
    return ingestion


def open_store(store: str, ingestion: Ingestion, compute: Compute) -> tuple[Store, Ingestion]:
    """Open the store for adding to it, or make it.

    Returns:
        The store, and the parameters with what was not given filled in.

    Raises:
        UsageError: it cannot be written, or was made with other parameters.
    """
    from coreframe.tasks.embedders.embedder import embedder_facts

    ingestion = follow_store(store, ingestion, compute)
    facts = embedder_facts(compute.embedder(ingestion))
    asked: dict[str, Any] = {
        "embedder": ingestion.embedder,
        "fingerprint": facts.fingerprint,
        "dim": facts.dim,
        "input_px": facts.input_px,
        "sampling": str(ingestion.sampling()),
        "crop": str(Crop.parse(ingestion.crop)) if ingestion.crop else "",
        **{name: getattr(ingestion, name) for name in VIEWED},
    }
    if Store.exists(store):
        settings = replace(Store.open(store).settings, **asked)
    else:
        settings = StoreSettings(**asked, digest=AS_SHOWN.digest)
    return Store.open_or_create(store, settings, ingestion.block_rows), ingestion


def check_boxes(files: Sequence[str], replace: bool) -> None:
    """Refuse files of boxes that are not there.

    Raises:
        UsageError: naming the first, or there is none though others are to be replaced.
    """
    if replace and not files:
        raise UsageError("--replace takes away all boxes that are not in FILE: name a file.")
    for file in files:
        try:
            Path(file).open("rb").close()
        except OSError as error:
            raise UsageError(f"cannot read the boxes in {file}: {error.strerror}.") from error


def check_training(training: Training) -> int:
    """Find the side in pixels of what is trained on.

    Raises:
        UsageError: the checkpoint to start from cannot be used, or not with this size.
    """
    from coreframe.tasks.embedders import simclr

    if training.checkpoint is None:
        return training.input_size or simclr.DEFAULT_INPUT_PX
    input_px = simclr.Checkpoint.read(training.checkpoint).input_px
    if training.input_size not in (None, input_px):
        raise UsageError(
            f"{training.checkpoint} was trained on pictures of {input_px} px, not "
            f"{training.input_size}: leave --input-size out, or start without a checkpoint."
        )
    return input_px


def check_output(store: Store, out: str, others: Sequence[str] = ()) -> OutputFolder:
    """Read an output folder that must be of a store, and look at others that may be of any.

    Raises:
        UsageError: one holds no selection, or the first one of another store's frames.
    """
    for other in others:
        OutputFolder.read(Path(other))
    folder = OutputFolder.read(Path(out))
    run, theirs = folder.run, folder.run.parameters.store
    if run.store.fingerprint != store.settings.fingerprint:
        raise UsageError(
            f"the selection in {out} is of embedder {run.store.embedder}, the store "
            f"{store.path} of {store.settings.embedder}: name the store {theirs}."
        )
    try:
        keys = ["frame_index", "pts"]
        frames = store.frames_at(folder.selection["row"].to_numpy(), keys)
        same = all(
            (frames[key].to_numpy() == folder.selection[key].to_numpy()).all() for key in keys
        )
    except CoreframeError:
        same = False
    if not same:
        raise UsageError(
            f"the selection in {out} is of frames that the store {store.path} does not hold: name "
            f"the store {theirs}, or select again."
        )
    try:
        Selecting(**run.parameters.selecting)
    except ValidationError as error:
        raise UsageError(
            f"the selection in {out} was made by another version, which knows other parameters: "
            "select again."
        ) from error
    return folder


def output_folder(path: str, inner: str | None = "frames") -> Path:
    """Make the output folder, and one inside it, or say why they cannot be written.

    Raises:
        UsageError: naming the folder and the reason, or it is of a newer version.
    """
    folder = Path(path).absolute()
    if inner is not None:
        refuse_newer(folder)
    places = [folder, folder / inner] if inner else [folder]
    try:
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            probe = place / ".coreframe-writable"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write the output folder {path}: {error.strerror}. Name another folder."
        ) from error
    return folder
