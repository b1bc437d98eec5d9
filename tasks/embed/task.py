"""Stage 2, embed: decode and embed every planned row that is not committed yet."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from dask.distributed import Client, Future, KilledWorker, wait

from coreframe.tasks.device import Decoder, Device
from coreframe.tasks.embed.batch import BatchJob, settled_batch
from coreframe.tasks.embed.census import CensusJob, take_and_keep_census
from coreframe.tasks.embed.incidents import Incidents, Quarantine
from coreframe.tasks.embed.job import (
    BlockJob,
    BlockReport,
    Part,
    PartJob,
    RowCounts,
    commit_block,
    embed_part,
)
from coreframe.tasks.embed.plan import PART_LIMITS, PartLimits, plan_parts, plan_segments
from coreframe.tasks.embedders.embedder import EmbedderSpec
from coreframe.tasks.engine.dispatch import deadly, deaths, gather, run_jobs, workers
from coreframe.tasks.engine.gpus import most_sharing
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.stalls import forget_stalls
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.sampling import Sampling

logger = logging.getLogger("coreframe")

DECODED = "decoded it"
"""What workers did when a video killed them here."""


@dataclass
class EmbedCounts:
    """What the stage did."""

    blocks: int = 0
    frames: int = 0
    censuses: int = 0
    quarantined: int = 0
    """Videos taken out by this run, for what they did to workers."""
    by_gpu: int = 0
    """Frames that GPUs decoded."""
    gpu_faults: int = 0
    """Parts in which a GPU's decoder failed, and CPU cores went on."""
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    """Why CPU cores decoded beside a GPU -> the videos' paths, as people know them."""


def embed_frames(
    store: Store,
    sampling: Sampling,
    embedder: EmbedderSpec,
    cluster: str,
    *,
    stall_limit_s: float = 0.0,
    decoder: str = Decoder.AUTO,
    limits: PartLimits = PART_LIMITS,
) -> EmbedCounts:
    """Embed what is missing, in two rounds: the second after a census of damaged videos.

    A part that kills its workers again and again is done anew, one video at a time; the videos
    that do it even so are taken out, and nothing else is lost.

    The catalogue's counts are brought up to date at the end, and before the second round, so that
    an interrupted run finds the damaged videos incomplete and continues with them.

    Args:
        store: to bring up to date.
        sampling: which frames are rows.
        embedder: that the store was made with.
        cluster: the scheduler's address.
        stall_limit_s: longest time that a decoder may give no sign of life; 0 for any.
        decoder: who decodes where there is a GPU.
        limits: how large the parts are that workers do in one go.
    """
    catalogue = store.read_catalogue()
    videos = [video for video in catalogue.videos if video.active and not video.complete]
    viewing, who = store.settings.viewing, Decoder(decoder)
    with Client(cluster) as client:
        if videos:
            embedder = _settled(client, store, embedder)
        part = PartJob(store.path, (), sampling, viewing, embedder, stall_limit_s, who)
        embedding = _Embedding(client, store, catalogue, part, limits)
        damaged = embedding.embed(videos)
        if damaged:
            embedding.embed(embedding.take_censuses(damaged))
    return embedding.counts


embed_stage = stage("embed")(embed_frames)


def _settled(client: Client, store: Store, embedder: EmbedderSpec) -> EmbedderSpec:
    """What all workers are to use: their share of a GPU's memory, and one size of batches."""
    embedder = replace(embedder, processes=most_sharing(client, embedder.device))
    if embedder.batch_asked or not embedder.network or embedder.device == Device.CPU:
        return embedder
    job = client.submit(settled_batch, BatchJob(store.path, embedder), pure=False)
    (size,) = gather(client, [job], "Measuring the size of batches")
    logger.info("%s: %d frames are embedded at once", embedder.name, size)
    return replace(embedder, batch_size=size)


@dataclass
class _Embedding:
    """The stage at work."""

    client: Client
    store: Store
    catalogue: Catalogue
    empty_part: PartJob
    """What all parts have in common, without segments."""
    limits: PartLimits
    counts: EmbedCounts = field(default_factory=EmbedCounts)

    def embed(self, videos: Sequence[Video]) -> list[int]:
        """Embed what some videos lack, and enter what came of it into the catalogue.

        Returns:
            The numbers of those that need a census, ascending.
        """
        incidents = Incidents()
        held: dict[int, dict[int, RowCounts]] = {}
        missing = sum(video.rows - video.decoded - video.undecodable for video in videos)
        with stage_bar("embed", missing, "frames") as advance:
            needs = _Parts(self.client, self.store, self._parts(videos))
            reports = run_jobs(
                self.client, commit_block, self._blocks(videos), _describe, needs, needs.alone
            )
            for _, report in reports:
                self.store.guard()
                needs.done(report.block)
                self.counts.blocks += 1
                self.counts.frames += report.embedded
                self.counts.by_gpu += report.by_gpu
                incidents |= report.incidents
                for video, counts in report.counts.items():
                    held.setdefault(video, {})[report.block] = counts
                advance(report.embedded)
        self._enter(held, incidents)
        return sorted(incidents.damaged - incidents.quarantined.keys())

    def take_censuses(self, numbers: Sequence[int]) -> list[Video]:
        """Take a census of damaged videos, each on its own.

        Returns:
            Those whose rows can be embedded now.
        """
        surveyed = []
        jobs = self._census_jobs(numbers)
        surveys = run_jobs(
            self.client,
            take_and_keep_census,
            jobs,
            _describe_census,
            killed=lambda job, error: error,
        )
        for job, trouble in surveys:
            self.counts.censuses += 1
            if isinstance(trouble, KilledWorker):
                self.catalogue.quarantined(job.video, deadly(trouble, DECODED), deaths(trouble))
                self.counts.quarantined += 1
            elif trouble:
                self.catalogue.update(job.video, reason=trouble)
            else:
                state = VideoState.PENDING
                self.catalogue.update(job.video, decoded=0, undecodable=0, state=state)
                surveyed.append(job.video)
        self.store.write_catalogue(self.catalogue)
        return [self.catalogue.videos[number] for number in sorted(surveyed)]

    def _blocks(self, videos: Sequence[Video]) -> Iterator[BlockJob]:
        """The blocks that hold rows of some videos, ascending."""
        store, total = self.store, self.catalogue.rows
        near = self.catalogue.by_rows()
        touched = {
            block
            for video in videos
            for block in store.blocks_of(video.first_row, video.first_row + video.rows)
        }
        for block in sorted(touched):
            start = block * store.block_rows
            stop = min(start + store.block_rows, total)
            own = (video for video in near(start, stop) if video.active)
            segments = plan_segments(own, start, stop)
            yield BlockJob(store.path, block, stop - start, segments, self.empty_part.sampling)

    def _parts(self, videos: Sequence[Video]) -> Iterator[PartJob]:
        """What workers do in one go, in row order."""
        parts = plan_parts(
            sorted(videos, key=lambda video: video.first_row),
            workers(self.client),
            self.empty_part.sampling,
            lambda video: self.store.read_index(video.fingerprint),
            self.limits,
        )
        for segments in parts:
            yield replace(self.empty_part, segments=segments)

    def _enter(self, held: dict[int, dict[int, RowCounts]], incidents: Incidents) -> None:
        """Bring the catalogue up to date, and write it if anything was done.

        Args:
            held: video -> block -> its rows that are committed there.
            incidents: of all blocks.
        """
        self.counts.censuses += len(incidents.censuses)
        self.counts.gpu_faults += len(incidents.faults)
        for number, note in incidents.notes.items():
            self.catalogue.update(number, note=note)
        for number, why in incidents.fallbacks.items():
            self.catalogue.update(number, fallback=why)
            name = self.catalogue.videos[number].path
            self.counts.fallbacks.setdefault(why, []).append(name)
            logger.info("%s is decoded by CPU cores: %s", name, why)
        _count(self.store, self.catalogue, held, incidents.unreadable)
        for number, quarantine in sorted(incidents.quarantined.items()):
            self.catalogue.quarantined(number, quarantine.reason, quarantine.attempts)
            name = self.catalogue.videos[number].path
            logger.warning("%s is quarantined: %s", name, quarantine.reason)
        self.counts.quarantined += len(incidents.quarantined)
        if self.counts.blocks:
            self.store.write_catalogue(self.catalogue)
            forget_stalls(self.store)

    def _census_jobs(self, numbers: Sequence[int]) -> Iterator[CensusJob]:
        for number in numbers:
            video = self.catalogue.videos[number]
            yield CensusJob(
                self.store.path,
                video.video,
                video.source,
                video.fingerprint,
                self.empty_part.stall_limit_s,
            )


@dataclass
class _Submitted:
    """A part, and the futures of what comes of it: one, or one a video if it had to be undone."""

    job: PartJob
    futures: list[Future]

    @property
    def rows(self) -> range:
        """Where its rows may lie, among others'."""
        every = [segment.rows for segment in self.job.segments]
        return range(min(rows.start for rows in every), max(rows.stop for rows in every))


class _Parts:
    """Submits each part when the first block that may hold rows of it is."""

    def __init__(self, client: Client, store: Store, parts: Iterator[PartJob]) -> None:
        self._client, self._store = client, store
        self._parts = parts
        self._next = next(parts, None)
        self._running: list[_Submitted] = []
        self._of_block: dict[int, list[_Submitted]] = {}
        """Of the blocks that are not done: held as long, so that they can be asked what failed."""
        self._deadly: dict[str, Quarantine] = {}
        """Contents that killed workers even when read alone."""

    def __call__(self, block: BlockJob) -> list[Future]:
        """Give what may hold rows of a block; blocks come in ascending order."""
        start = block.block * self._store.block_rows
        stop = start + block.planned_rows
        while self._next is not None and self._next.segments[0].rows.start < stop:
            self._running.append(_Submitted(self._next, [self._submit(self._next)]))
            self._next = next(self._parts, None)
        self._running = [part for part in self._running if part.rows.stop > start]
        self._of_block[block.block] = list(self._running)
        return self._futures(block)

    def done(self, block: int) -> None:
        """Let go of what only this block still needed."""
        self._of_block.pop(block, None)

    def alone(self, block: BlockJob, _: KilledWorker) -> BlockReport:
        """Do the deadly parts of a block again, one video at a time, and commit the block.

        CPU cores decode: a driver that dies of a video says little against the video.

        Raises:
            CoreframeError: it is not reading a video that kills the workers.
        """
        for part in self._of_block[block.block]:
            if any(future.status == "error" for future in part.futures):
                part.futures = [
                    self._singly(replace(part.job, segments=(segment,), decoder=Decoder.CPU))
                    for segment in part.job.segments
                ]
        needs = self._futures(block)
        commit = self._client.submit(commit_block, block, needs, pure=False)
        report: BlockReport = gather(self._client, [commit], _describe(block))[0]
        return report

    def _singly(self, job: PartJob) -> Future:
        """Do a part of one video while nothing else is asked for."""
        segment = job.segments[0]
        if segment.fingerprint not in self._deadly:
            future = self._submit(job)
            wait(future)
            error = future.exception() if future.status == "error" else None
            if not isinstance(error, KilledWorker):
                return future
            self._deadly[segment.fingerprint] = Quarantine(deadly(error, DECODED), deaths(error))
        quarantined = {segment.video: self._deadly[segment.fingerprint]}
        taken_out = Part(incidents=Incidents(quarantined=quarantined))
        return self._client.submit(as_is, taken_out, pure=False)

    def _submit(self, job: PartJob) -> Future:
        return self._client.submit(embed_part, job, pure=False)

    def _futures(self, block: BlockJob) -> list[Future]:
        return [future for part in self._of_block[block.block] for future in part.futures]


def _count(
    store: Store,
    catalogue: Catalogue,
    held: dict[int, dict[int, RowCounts]],
    reasons: dict[int, str],
) -> None:
    """Enter how many rows of each touched video are committed, over all of its blocks."""
    for number, by_block in held.items():
        video = catalogue.videos[number]
        for block in store.blocks_of(video.first_row, video.first_row + video.rows):
            if block not in by_block:
                by_block[block] = _committed(store, block, number)
        decoded = sum(counts.decoded for counts in by_block.values())
        undecodable = sum(counts.undecodable for counts in by_block.values())
        cropped = bool(store.settings.crop)
        reason = reasons.get(number, "")
        catalogue.counted(number, decoded, undecodable, reason, cropped=cropped)


def _committed(store: Store, block: int, video: int) -> RowCounts:
    table = store.committed(block)
    if table is None:
        return RowCounts(0, 0)
    own = table.to_pandas().query("video == @video")
    decoded = int((own["state"] == FrameState.OK).sum())
    return RowCounts(decoded, len(own) - decoded)


def _describe(job: BlockJob) -> str:
    names = ", ".join(sorted({segment.source for segment in job.segments})[:3])
    return f"Embedding block {job.block} ({names})"


def _describe_census(job: CensusJob) -> str:
    return f"Surveying {job.source}"
