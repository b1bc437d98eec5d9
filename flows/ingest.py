"""The ``ingest`` flow: bring a store up to date with a corpus of videos."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prefect import flow

from coreframe.flows.artifacts import show_quarantined
from coreframe.flows.cluster import open_cluster
from coreframe.flows.logs import log_unread
from coreframe.flows.outcome import check_broken, check_named, warnings
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.flows.preflight import check_corpus, check_metrics_file, open_store
from coreframe.flows.record import ended, recorded, summarized, timed, unread_before
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import MetricsFile, StorePath, Wait
from coreframe.tasks.embed.task import EmbedCounts, embed_stage
from coreframe.tasks.forget.task import complete
from coreframe.tasks.index.task import index_stage
from coreframe.tasks.store.catalogue import Video, VideoState, changes
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.listing import Unread


@dataclass
class Ingested:
    """What an ingestion did and met."""

    videos: list[Video]
    """The entries of this run's files."""
    before: list[Video]
    """All entries when the run began."""
    corrupt_threshold: float = 1.0
    """Share of broken videos above which the run ends in an error."""
    forgotten: int = 0
    """Files of this run whose contents were forgotten: passed over."""
    embedded: EmbedCounts = field(default_factory=EmbedCounts)
    changes: dict[str, Any] = field(default_factory=dict)
    """Since the last run, by kind; see :func:`coreframe.flows.record.summarized`."""
    unread: Sequence[Unread] = ()
    """Folders and links that could not be looked at."""
    unread_before: frozenset[str] = frozenset()
    """Of these, paths that the last run said already."""
    gpu_asked: bool = False
    """Whether a GPU was to decode."""
    added_columns: Sequence[Mapping[str, Any]] = ()
    """What became of files of columns."""

    def look_again(self, store: Store) -> list[str]:
        """Bring the entries up to date with what later stages found, and give the warnings."""
        videos = store.read_catalogue().videos
        self.videos = [videos[video.video] for video in self.videos]
        self.changes = summarized(changes(self.before, videos))
        unread = [one for one in self.unread if one.path not in self.unread_before]
        told = warnings(self.before, videos, unread)
        if self.gpu_asked and self.embedded.frames and not self.embedded.by_gpu:
            told.append(f"--decoder gpu: CPU cores decoded all frames: {self._gpu_missed()}")
        return told

    def _gpu_missed(self) -> str:
        """Why a GPU that was to decode did not."""
        found = self.embedded.fallbacks
        if not found:
            return "no worker has a GPU with a video decoder"
        reason = max(found, key=lambda why: len(found[why]))
        return f"{reason} ({len(found[reason])} of {len(self.videos)} videos)"

    def counts(self) -> dict[str, Any]:
        passed_over = {str(VideoState.FORGOTTEN): self.forgotten} if self.forgotten else {}
        return {
            "files": dict(Counter(str(video.state) for video in self.videos)) | passed_over,
            "embedded_frames": self.embedded.frames,
            "embedded_blocks": self.embedded.blocks,
            "censuses": self.embedded.censuses,
            "quarantined_videos": self.embedded.quarantined,
            "frames_by_gpu": self.embedded.by_gpu,
            "gpu_faults": self.embedded.gpu_faults,
        }


@flow(name="ingest", flow_run_name=begun_name)
def ingest(
    store: StorePath,
    corpus: Sources,
    ingestion: Ingestion = Ingestion(),  # noqa: B008 - Prefect shows the default in its form
    compute: Compute = Compute(),  # noqa: B008
    wait: Wait = 0.0,
    metrics_file: MetricsFile = None,
) -> dict[str, Any]:
    """Index the videos and embed every frame that the store does not hold yet."""
    unread: list[Unread] = []
    files = check_corpus(corpus, store, tell=unread.append)
    check_metrics_file(metrics_file)
    opened, ingestion = open_store(store, ingestion, compute)
    timings: dict[str, float] = {}
    parameters = {
        "store": store,
        "corpus": corpus.model_dump(),
        "ingestion": ingestion.model_dump(),
        "compute": compute.model_dump(),
    }
    with recorded(opened, "ingest", parameters, wait, metrics_file) as record:
        log_unread(unread)
        with open_cluster(compute) as cluster:
            ingested = ingest_stages(opened, files, corpus, ingestion, compute, cluster, timings)
            ingested.unread, ingested.unread_before = unread, unread_before(opened)
        result = {
            "unread": [asdict(one) for one in unread],
            "counts": ingested.counts(),
            "changes": ingested.changes,
            "fallbacks": summarized(ingested.embedded.fallbacks),
            "timings_s": timings,
        }
        record.update(result)
        record["warnings"] = ingested.look_again(opened)
        check_broken(ingested.videos, corpus.corrupt_threshold)
    return ended(result, record["warnings"])


def ingest_stages(
    store: Store,
    files: list[SourceFile],
    corpus: Sources,
    ingestion: Ingestion,
    compute: Compute,
    cluster: str,
    timings: dict[str, float],
) -> Ingested:
    """Index, then embed."""
    forgotten = complete(store)
    before = store.read_catalogue().videos
    spec = compute.embedder(ingestion)
    sampling = ingestion.sampling()
    limit_s = corpus.video_timeout
    with timed(timings, "index"):
        entered = index_stage(
            store,
            files,
            sampling,
            cluster,
            stall_limit_s=limit_s,
            retry_quarantined=corpus.retry_quarantined,
            forgotten=forgotten,
            most_frames=corpus.max_frames_per_file,
        )
    numbers = [number for number in entered if number is not None]
    indexed = store.read_catalogue().videos
    looked_at = [file for file, number in zip(files, entered, strict=True) if number is not None]
    check_named(looked_at, [indexed[number] for number in numbers], corpus)
    with timed(timings, "embed"):
        embedded = embed_stage(
            store, sampling, spec, cluster, stall_limit_s=limit_s, decoder=ingestion.decoder
        )
    videos = store.read_catalogue().videos
    show_quarantined(store, videos)
    own = [videos[number] for number in numbers]
    passed_over = len(files) - len(own)
    ingested = Ingested(own, before, corpus.corrupt_threshold, passed_over, embedded)
    ingested.gpu_asked = ingestion.decoder == "gpu"
    ingested.look_again(store)
    return ingested
