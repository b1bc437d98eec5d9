"""The ``ingest`` flow: bring a store up to date with a corpus of videos."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from prefect import flow

from flows.checks import check_broken, check_corpus, open_store
from flows.cluster import open_cluster
from flows.parameters import Compute, Corpus, Ingestion
from flows.record import timed
from tasks.embed import EmbedCounts, embed_frames
from tasks.index import index_files
from tasks.store.catalogue import Video
from tasks.store.store import Store
from tasks.video.discover import SourceFile


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
    files = check_corpus(corpus, store)
    opened = open_store(store, ingestion, compute)
    timings: dict[str, float] = {}
    with open_cluster(compute) as cluster:
        ingested = ingest_stages(opened, files, ingestion, compute, cluster, timings)
    check_broken(ingested.videos, corpus.corrupt_threshold)
    return {"counts": ingested.counts(), "timings_s": timings}


def ingest_stages(
    store: Store,
    files: list[SourceFile],
    ingestion: Ingestion,
    compute: Compute,
    cluster: str,
    timings: dict[str, float],
) -> Ingested:
    """Index, then embed."""
    spec = compute.embedder(ingestion)
    sampling, crop = ingestion.sampling(), ingestion.crop_px()
    with timed(timings, "index"):
        numbers = index_files(store, files, sampling, crop, cluster)
    with timed(timings, "embed"):
        embedded = embed_frames(store, sampling, crop, spec, cluster)
    catalogue = store.read_catalogue()
    return Ingested([catalogue.videos[number] for number in numbers], embedded)
