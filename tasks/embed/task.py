"""Stage 2, embed: decode and embed every planned row that is not committed yet."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dask.distributed import Client, Future, KilledWorker, wait

from coreframe.tasks.embed.census import CensusJob, take_and_keep_census
from coreframe.tasks.embed.job import (
    BlockJob,
    BlockReport,
    Met,
    Part,
    PartJob,
    commit_block,
    embed_part,
)
from coreframe.tasks.embed.plan import plan_parts, plan_segments
from coreframe.tasks.embedders.embedder import EmbedderSpec
from coreframe.tasks.engine.dispatch import deadly, deaths, gather, run_jobs, workers
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.store.catalogue import Catalogue, Video
from coreframe.tasks.store.frames import OK
from coreframe.tasks.store.stalls import forget_stalls
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.pixels import Crop
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


def embed_frames(
    store: Store,
    sampling: Sampling,
    crop: Crop | None,
    embedder: EmbedderSpec,
    cluster: str,
    *,
    stall_limit_s: float = 0.0,
) -> EmbedCounts:
    """Embed what is missing, in two rounds: the second after a census of damaged videos.

    A part that kills its workers again and again is done anew, one video at a time; the videos
    that do it even so are taken out, and nothing else is lost.

    The catalogue's counts are brought up to date at the end, and before the second round, so that
    an interrupted run finds the damaged videos incomplete and continues with them.
    """
    catalogue = store.read_catalogue()
    counts = EmbedCounts()
    with Client(cluster) as client:

        def blocks(videos: Sequence[Video]) -> Iterator[BlockJob]:
            near = catalogue.by_rows()
            touched = {
                block
                for video in videos
                for block in store.blocks_of(video.first_row, video.first_row + video.rows)
            }
            for block in sorted(touched):
                start = block * store.block_rows
                stop = min(start + store.block_rows, catalogue.rows)
                own = (video for video in near(start, stop) if video.active)
                segments = plan_segments(own, start, stop)
                yield BlockJob(store.path, block, stop - start, segments, sampling)

        def parts(videos: Sequence[Video]) -> Iterator[PartJob]:
            ordered = sorted(videos, key=lambda video: video.first_row)
            many = workers(client)
            for segments in plan_parts(
                ordered, many, sampling, lambda video: store.read_index(video.fingerprint)
            ):
                yield PartJob(store.path, segments, sampling, crop, embedder, stall_limit_s)

        def embed(videos: Sequence[Video]) -> set[int]:
            met = Met()
            held: dict[int, dict[int, tuple[int, int]]] = {}
            missing = sum(video.rows - video.decoded - video.undecodable for video in videos)
            with stage_bar("embed", missing, "frames") as advance:
                needs = _Parts(client, store, parts(videos))
                reports = run_jobs(
                    client, commit_block, blocks(videos), _describe, needs, needs.alone
                )
                for _, report in reports:
                    store.guard()
                    needs.done(report.block)
                    counts.blocks += 1
                    counts.frames += report.embedded
                    met |= report.met
                    for video, pair in report.counts.items():
                        held.setdefault(video, {})[report.block] = pair
                    advance(report.embedded)
            counts.censuses += len(met.censuses)
            for number, note in met.notes.items():
                catalogue.update(number, note=note)
            _count(store, catalogue, held, met.unreadable)
            for number, (reason, attempts) in sorted(met.quarantined.items()):
                catalogue.quarantined(number, reason, attempts)
                name = catalogue.videos[number].path
                logger.warning("%s is quarantined: %s", name, reason)
            counts.quarantined += len(met.quarantined)
            if counts.blocks:
                store.write_catalogue(catalogue)
                forget_stalls(store)
            return met.damaged - set(met.quarantined)

        damaged = embed(
            [video for video in catalogue.videos if video.active and not video.complete]
        )
        if damaged:
            wanted = [catalogue.videos[number] for number in sorted(damaged)]
            surveyed = []
            jobs = _census_jobs(store, wanted, stall_limit_s)
            surveys = run_jobs(
                client,
                take_and_keep_census,
                jobs,
                _describe_census,
                killed=lambda job, error: error,
            )
            for job, trouble in surveys:
                counts.censuses += 1
                if isinstance(trouble, KilledWorker):
                    why = deadly(trouble, DECODED)
                    catalogue.quarantined(job.video, why, deaths(trouble))
                    counts.quarantined += 1
                elif trouble:
                    catalogue.update(job.video, reason=trouble)
                else:
                    reset = {"decoded": 0, "undecodable": 0, "state": "pending"}
                    catalogue.update(job.video, **reset)
                    surveyed.append(job.video)
            store.write_catalogue(catalogue)
            embed([catalogue.videos[number] for number in sorted(surveyed)])
    return counts


embed_stage = stage("embed")(embed_frames)


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
        self._deadly: dict[str, tuple[str, int]] = {}
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

        Raises:
            CoreframeError: it is not reading a video that kills the workers.
        """
        for part in self._of_block[block.block]:
            if any(future.status == "error" for future in part.futures):
                part.futures = [
                    self._singly(replace(part.job, segments=(segment,)))
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
            self._deadly[segment.fingerprint] = (deadly(error, DECODED), deaths(error))
        taken_out = Part(met=Met(quarantined={segment.video: self._deadly[segment.fingerprint]}))
        return self._client.submit(as_is, taken_out, pure=False)

    def _submit(self, job: PartJob) -> Future:
        return self._client.submit(embed_part, job, pure=False)

    def _futures(self, block: BlockJob) -> list[Future]:
        return [future for part in self._of_block[block.block] for future in part.futures]


def _count(
    store: Store,
    catalogue: Catalogue,
    held: dict[int, dict[int, tuple[int, int]]],
    reasons: dict[int, str],
) -> None:
    """Enter how many rows of each touched video are committed, over all of its blocks."""
    for number, by_block in held.items():
        video = catalogue.videos[number]
        for block in store.blocks_of(video.first_row, video.first_row + video.rows):
            if block not in by_block:
                by_block[block] = _committed(store, block, number)
        decoded, undecodable = map(sum, zip(*by_block.values(), strict=True))
        cropped = bool(store.settings.crop)
        reason = reasons.get(number, "")
        catalogue.counted(number, decoded, undecodable, reason, cropped=cropped)


def _committed(store: Store, block: int, video: int) -> tuple[int, int]:
    table = store.committed(block)
    if table is None:
        return 0, 0
    own = table.to_pandas().query("video == @video")
    decoded = int((own["state"] == OK).sum())
    return decoded, len(own) - decoded


def _census_jobs(
    store: Store, videos: Sequence[Video], stall_limit_s: float
) -> Iterator[CensusJob]:
    for video in videos:
        content = (video.source, video.fingerprint)
        yield CensusJob(store.path, video.video, *content, stall_limit_s)


def _describe(job: BlockJob) -> str:
    names = ", ".join(sorted({segment.source for segment in job.segments})[:3])
    return f"Embedding block {job.block} ({names})"


def _describe_census(job: CensusJob) -> str:
    return f"Surveying {job.source}"
