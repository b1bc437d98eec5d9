"""Objects: embed what is in boxes that people give, block by block."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from dask.distributed import Client, Future, KilledWorker, wait

from coreframe.tasks.embedders.embedder import EmbedderSpec
from coreframe.tasks.engine.dispatch import deadly, gather, run_jobs
from coreframe.tasks.engine.gpus import most_sharing
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import UsageError
from coreframe.tasks.objects.given import read_boxes
from coreframe.tasks.objects.job import (
    BlockJob,
    BlockReport,
    Embedded,
    PartJob,
    commit_block,
    embed_part,
)
from coreframe.tasks.objects.matching import Corpus, Skipped, added, matched
from coreframe.tasks.objects.plan import Part, plan_parts
from coreframe.tasks.output.exported import Fault
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.objects import BOX, BOXES_SCHEMA, Boxes, StoredObjects
from coreframe.tasks.store.store import Store

logger = logging.getLogger("coreframe")

FRAME_COLUMNS = ["row", "video", "frame_index", "time_s", "digest"]


@dataclass
class ObjectCounts:
    """What the stage did."""

    embedded: int = 0
    """Objects newly committed with a vector."""
    small: int = 0
    """Of which their frames show too little."""
    pending: int = 0
    """That are still to be embedded."""
    skipped: Skipped = field(default_factory=Skipped)
    faults: dict[int, Fault] = field(default_factory=dict)
    """video -> why it did not give its frames again."""
    unreachable: list[str] = field(default_factory=list)
    """What could not be read for now."""


def embed_objects(
    store: Store,
    files: Sequence[str],
    embedder: EmbedderSpec,
    cluster: str,
    *,
    afresh: bool = False,
) -> ObjectCounts:
    """Add the boxes of files to a store's, and embed all that are not yet.

    Called by the store's only writer. What an interrupted run has committed stays.

    Args:
        store: that has the frames.
        files: CSV or COCO's JSON; none to embed what is missing alone.
        embedder: that the store was made with.
        cluster: the scheduler's address.
        afresh: whether the store is to hold these boxes and no others.

    Raises:
        UsageError: a file cannot be read, none of its boxes can be used, or there are no boxes.
    """
    counts, objects = ObjectCounts(), StoredObjects(store)
    videos = {video.video: video for video in store.read_catalogue().videos if video.active}
    frames = read_corpus(store, FRAME_COLUMNS)
    corpus = Corpus(frames, videos, store.settings)
    boxes = known = objects.boxes()
    if afresh and files:
        boxes = Boxes(BOXES_SCHEMA.empty_table(), 0)
    for path in files:
        found = matched(path, read_boxes(path), corpus, counts.skipped)
        boxes = added(boxes, found, counts.skipped)
    for sentence in counts.skipped.sentences():
        logger.warning("%s", sentence)
    if boxes.planned == 0:
        raise UsageError(
            f"the store {store.path} has no boxes yet: name a file that lists some, such as "
            f"`coreframe objects boxes.csv --store {store.path}`."
        )
    if afresh and not boxes.table.to_pandas().equals(known.table.to_pandas()):
        objects.clear()
        known = Boxes(BOXES_SCHEMA.empty_table(), 0)
    if boxes.planned != known.planned:
        objects.write_boxes(replace(boxes, embedded=known.embedded))
    objects.make_room(boxes.planned)
    done = objects.table(["object"])["object"].to_numpy()
    there = np.isin(boxes.table["object"].to_numpy(), done)
    missing = boxes.table.filter(pa.array(~there))
    parts = list(
        plan_parts(
            missing.select(["object", "row", *BOX]).to_pandas(),
            frames,
            videos,
            lambda video: store.read_index(video.fingerprint),
        )
    )
    with Client(cluster) as client:
        spec = replace(embedder, processes=most_sharing(client, embedder.device))
        _embed(client, store, missing, boxes.planned, parts, spec, counts)
    now = len(objects.table(["object"]))
    objects.write_boxes(replace(boxes, embedded=now))
    counts.pending = len(boxes.table) - now
    return counts


objects_stage = stage("objects")(embed_objects)


def _embed(
    client: Client,
    store: Store,
    missing: pa.Table,
    planned: int,
    parts: Sequence[Part],
    spec: EmbedderSpec,
    counts: ObjectCounts,
) -> None:
    """Embed objects and commit their blocks; what came of it is added to the counts."""
    total = sum(len(part.objects) for part in parts)
    needs = _Parts(client, store, [PartJob(store.path, part, spec) for part in parts])
    jobs = _blocks(store, missing, planned, needs.blocks)
    with stage_bar("objects", total, "objects") as advance:
        reports = run_jobs(client, commit_block, jobs, _describe, needs, needs.alone)
        for job, report in reports:
            store.guard()
            needs.done(job.block)
            counts.embedded += report.embedded
            counts.small += report.small
            counts.faults |= report.faults
            counts.unreachable += report.unreachable
            advance(report.embedded + report.small)


def _blocks(
    store: Store, missing: pa.Table, planned: int, wanted: Sequence[int]
) -> Iterator[BlockJob]:
    size, numbers = store.block_rows, missing["object"].to_numpy()
    for block in wanted:
        start, stop = block * size, min((block + 1) * size, planned)
        first, last = np.searchsorted(numbers, [start, stop]).tolist()
        own = missing.slice(first, last - first).combine_chunks()
        yield BlockJob(store.path, block, stop - start, own)


class _Parts:
    """Submits each part when the first block that has objects of it is."""

    def __init__(self, client: Client, store: Store, jobs: Sequence[PartJob]) -> None:
        self._client, self._jobs = client, jobs
        self._futures: dict[int, Future] = {}
        self._waiting: list[set[int]] = []
        """Of each part the blocks that are not done."""
        self._of_block: dict[int, list[int]] = {}
        for number, job in enumerate(jobs):
            blocks = np.unique(job.part.objects // store.block_rows).tolist()
            self._waiting.append(set(blocks))
            for block in blocks:
                self._of_block.setdefault(block, []).append(number)

    @property
    def blocks(self) -> list[int]:
        """Those that have objects of any part, ascending."""
        return sorted(self._of_block)

    def __call__(self, block: BlockJob) -> list[Future]:
        numbers = self._of_block[block.block]
        for number in numbers:
            if number not in self._futures:
                self._futures[number] = self._submit(number)
        return [self._futures[number] for number in numbers]

    def done(self, block: int) -> None:
        """Let go of what only this block still needed."""
        for number in self._of_block[block]:
            self._waiting[number].discard(block)
            if not self._waiting[number]:
                self._futures.pop(number, None)

    def alone(self, block: BlockJob, _: KilledWorker) -> BlockReport:
        """Do the deadly parts of a block again, one at a time, and commit the block.

        A video that kills workers even so is told as a fault.

        Raises:
            CoreframeError: it is not reading a video that kills the workers.
        """
        for number in self._of_block[block.block]:
            if self._futures[number].status == "error":
                future = self._submit(number)
                wait(future)
                error = future.exception() if future.status == "error" else None
                if isinstance(error, KilledWorker):
                    video = self._jobs[number].part.video.video
                    why = Fault(VideoState.QUARANTINED, deadly(error, "decoded it again"))
                    future = self._client.submit(as_is, Embedded(faults={video: why}), pure=False)
                self._futures[number] = future
        commit = self._client.submit(commit_block, block, self(block), pure=False)
        report: BlockReport = gather(self._client, [commit], _describe(block))[0]
        return report

    def _submit(self, number: int) -> Future:
        return self._client.submit(embed_part, self._jobs[number], pure=False)


def _describe(job: BlockJob) -> str:
    return f"Embedding block {job.block} of objects"
