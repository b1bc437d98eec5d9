"""The ``ingest`` flow: bring a store up to date with a corpus of videos."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from prefect import flow

from coreframe.flows.artifacts import show_quarantined
from coreframe.flows.cluster import open_cluster
from coreframe.flows.outcome import check_broken
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.flows.preflight import check_corpus, check_metrics_file, open_store
from coreframe.flows.record import recorded, summarized, timed
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import MetricsFile, StorePath, Wait
from coreframe.tasks.embed.task import EmbedCounts, embed_stage
from coreframe.tasks.index.task import index_stage
from coreframe.tasks.store.catalogue import Video, changes
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile


@dataclass
class Ingested:
    """What an ingestion did and met."""

    videos: list[Video]
    """The entries of this run's files."""
    embedded: EmbedCounts = field(default_factory=EmbedCounts)
    changes: dict[str, Any] = field(default_factory=dict)
    """Since the last run, by kind; see :func:`coreframe.flows.record.summarized`."""

    def counts(self) -> dict[str, Any]:
        return {
            "files": dict(Counter(str(video.state) for video in self.videos)),
            "embedded_frames": self.embedded.frames,
            "embedded_blocks": self.embedded.blocks,
            "censuses": self.embedded.censuses,
            "quarantined_videos": self.embedded.quarantined,
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
    files = check_corpus(corpus, store)
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
        with open_cluster(compute) as cluster:
            ingested = ingest_stages(opened, files, corpus, ingestion, compute, cluster, timings)
        result = {
            "counts": ingested.counts(),
            "changes": ingested.changes,
            "timings_s": timings,
        }
        record.update(result)
        check_broken(ingested.videos, corpus.corrupt_threshold)
    return result


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
    before = store.read_catalogue().videos
    spec = compute.embedder(ingestion)
    sampling = ingestion.sampling()
    limit_s = corpus.video_timeout
    with timed(timings, "index"):
        numbers = index_stage(
            store,
            files,
            sampling,
            cluster,
            stall_limit_s=limit_s,
            retry_quarantined=corpus.retry_quarantined,
        )
    with timed(timings, "embed"):
        embedded = embed_stage(store, sampling, spec, cluster, stall_limit_s=limit_s)
    videos = store.read_catalogue().videos
    show_quarantined(store, videos)
    found = summarized(changes(before, videos))
    return Ingested([videos[number] for number in numbers], embedded, found)
