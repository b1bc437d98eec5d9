"""What is refused before any work begins, and what ends a run in an error after it.

Nothing here imports Prefect or Dask, so the command answers wrong use at once.
"""

from collections.abc import Sequence
from pathlib import Path

from flows.parameters import Compute, Corpus, Ingestion
from tasks.embedding.embedder import load_embedder
from tasks.errors import BrokenVideoError, CoreframeError, NotAVideoError, UsageError
from tasks.store.catalogue import Video
from tasks.store.store import Store, StoreSettings
from tasks.video.container import VIDEO_SUFFIXES, open_video
from tasks.video.discover import SourceFile, discover


def check_corpus(corpus: Corpus, ignore: list[Path]) -> list[SourceFile]:
    """Find the files, and refuse what can only be a mistake before anything is started.

    Raises:
        UsageError: nothing to work on, or a file named explicitly that is no video.
    """
    if not corpus.videos and corpus.files_from is None:
        raise UsageError("no videos given: name files, folders or globs, or use --files-from FILE.")
    files = discover(
        corpus.videos,
        files_from=corpus.files_from,
        include=corpus.include,
        exclude=corpus.exclude,
        ignore=ignore,
    )
    unusable = []
    for file in files:
        if not file.explicit:
            continue
        try:
            with open_video(file.path):
                pass
        except NotAVideoError as error:
            raise UsageError(f"{file.path} is not a video: {error}. Leave it out.") from error
        except (BrokenVideoError, OSError) as error:
            unusable.append(f"{file.path} {error}")
    if files and len(unusable) == len(files):
        raise UsageError(f"no videos found: {unusable[0]}.")
    likely = [file for file in files if file.explicit or file.path.suffix.lower() in VIDEO_SUFFIXES]
    if not likely and not any(_opens(file) for file in files):
        given = ", ".join(corpus.videos) or corpus.files_from
        raise UsageError(f"no videos found in {given} ({len(files)} files looked at).")
    return files


def _opens(file: SourceFile) -> bool:
    try:
        with open_video(file.path):
            return True
    except (BrokenVideoError, NotAVideoError, OSError):
        return False


def open_store(store: str, ingestion: Ingestion, compute: Compute) -> Store:
    """Open or make the store for these parameters.

    Raises:
        UsageError: it cannot be written, or was made with other parameters.
    """
    embedder = load_embedder(compute.embedder(ingestion))
    settings = StoreSettings(
        embedder=ingestion.embedder,
        fingerprint=embedder.fingerprint,
        dim=embedder.dim,
        input_px=embedder.input_px,
        sampling=str(ingestion.sampling()),
        crop=str(ingestion.crop_px() or ""),
    )
    return Store.open_or_create(store, settings, ingestion.block_rows)


def writable_folder(path: str, what: str) -> Path:
    """Make a folder, or say why it cannot be written.

    Raises:
        UsageError: naming the folder and the reason.
    """
    folder = Path(path).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".coreframe-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write {what} {path}: {error.strerror}. Name another folder."
        ) from error
    return folder


def check_broken(videos: Sequence[Video], threshold: float) -> None:
    """End the run in an error when too many videos are broken, after all that could be done.

    Raises:
        CoreframeError: naming the share, the limit and the first broken ones.
    """
    unfinished = [video for video in videos if video.state == "pending"]
    broken = [video for video in videos if video.state == "broken"]
    counted = sum(video.state != "skipped" for video in videos)
    lost = broken + unfinished
    if lost and len(lost) > threshold * counted:
        names = "; ".join(f"{video.path}: {video.reason}" for video in lost[:3])
        raise CoreframeError(
            f"{len(lost)} of {counted} videos are broken, more than the threshold of {threshold:g} "
            f"({names}). Mend or exclude them, or raise --corrupt-threshold."
        )
