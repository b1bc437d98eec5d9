"""The ``ingest`` flow: bring a store up to date with a corpus of videos."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import flow

from flows.cluster import Cluster, open_cluster
from flows.parameters import Compute, Corpus, Ingestion, writable_folder
from flows.record import timed
from tasks.embed import EmbedCounts, embed_frames
from tasks.embedding.embedder import EmbedderSpec, load_embedder
from tasks.errors import CoreframeError, UsageError
from tasks.index import index_files
from tasks.store.catalogue import Catalogue, Video
from tasks.store.store import Store, StoreSettings
from tasks.video.container import VIDEO_SUFFIXES, open_video
from tasks.video.discover import SourceFile, discover
from tasks.errors import BrokenVideoError, NotAVideoError


@dataclass
class Ingested:
    """What an ingestion did and met."""

    videos: list[Video]
    """The entries of this run's files."""
    embedded: EmbedCounts = field(default_factory=EmbedCounts)

    def counts(self) -> dict[str, Any]:
        return {
            "files": dict(Counter(video.state for video in self.videos)),
            "embedded_frames": self.embedded.frames,
            "embedded_blocks": self.embedded.blocks,
            "censuses": self.embedded.censuses,
        }


@flow(name="ingest", flow_run_name="ingest-into-{store}")
def ingest(
    store: str,
    corpus: Corpus,
    ingestion: Ingestion = Ingestion(),  # noqa: B008 - Prefect shows the default in its form
    compute: Compute = Compute(),  # noqa: B008
) -> dict[str, Any]:
    """Index the videos and embed every frame that the store does not hold yet."""
    files = check_corpus(corpus, [Path(store).absolute()])
    opened = open_store(store, ingestion, compute)
    timings: dict[str, float] = {}
    with open_cluster(compute) as cluster:
        ingested = ingest_stages(opened, files, ingestion, compute, cluster, timings)
    check_broken(ingested.videos, corpus.corrupt_threshold)
    return {"counts": ingested.counts(), "timings_s": timings}


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


def ingest_stages(
    store: Store,
    files: list[SourceFile],
    ingestion: Ingestion,
    compute: Compute,
    cluster: Cluster,
    timings: dict[str, float],
) -> Ingested:
    """Index, then embed."""
    spec: EmbedderSpec = compute.embedder(ingestion)
    sampling, crop = ingestion.sampling(), ingestion.crop_px()
    with timed(timings, "index"):
        numbers = index_files(store, files, sampling, crop, cluster.address)
    with timed(timings, "embed"):
        embedded = embed_frames(store, sampling, crop, spec, cluster.threads, cluster.address)
    catalogue: Catalogue = store.read_catalogue()
    return Ingested([catalogue.videos[number] for number in numbers], embedded)


def check_broken(videos: list[Video], threshold: float) -> None:
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
