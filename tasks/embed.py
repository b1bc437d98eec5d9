"""Stage 2, embed: decode and embed every planned row that is not committed yet."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dask.distributed import Client, Future

from tasks.dispatch import run_jobs, workers
from tasks.embedding.embedder import EmbedderSpec
from tasks.jobs.embed import (
    BlockJob,
    PartJob,
    commit_block,
    embed_part,
    plan_parts,
    plan_segments,
)
from tasks.jobs.index import CensusJob, take_and_keep_census
from tasks.progress import stage_bar
from tasks.stage import stage
from tasks.store.catalogue import Catalogue, Video
from tasks.store.frames import OK
from tasks.store.store import Store
from tasks.video.pixels import Crop
from tasks.video.sampling import Sampling


@dataclass
class EmbedCounts:
    """What the stage did."""

    blocks: int = 0
    frames: int = 0
    censuses: int = 0


@stage("embed")
def embed_frames(
    store: Store,
    sampling: Sampling,
    crop: Crop | None,
    embedder: EmbedderSpec,
    cluster: str,
) -> EmbedCounts:
    """Embed what is missing, in two rounds: the second after a census of damaged videos.

    The catalogue's counts are brought up to date at the end, and before the second round, so that
    an interrupted run finds the damaged videos incomplete and continues with them.
    """
    catalogue = store.read_catalogue()
    counts = EmbedCounts()
    with Client(cluster) as client:

        def blocks(videos: Sequence[Video]) -> Iterator[BlockJob]:
            rows = [video for video in catalogue.videos if video.rows]
            starts = [video.first_row for video in rows]
            touched = {
                block
                for video in videos
                for block in store.blocks_of(video.first_row, video.first_row + video.rows)
            }
            for block in sorted(touched):
                start = block * store.block_rows
                stop = min(start + store.block_rows, catalogue.rows)
                near = rows[bisect_right(starts, start) - 1 : bisect_right(starts, stop - 1)]
                segments = plan_segments((v for v in near if v.active), start, stop)
                yield BlockJob(str(store.path), block, stop - start, segments, sampling)

        def parts(videos: Sequence[Video]) -> Iterator[PartJob]:
            ordered = sorted(videos, key=lambda video: video.first_row)
            many = workers(client)
            for segments in plan_parts(ordered, many, lambda video: _seekable(store, video)):
                yield PartJob(str(store.path), segments, sampling, crop, embedder)

        def embed(videos: Sequence[Video]) -> set[int]:
            damaged: set[int] = set()
            censuses: set[int] = set()
            unreadable: dict[int, str] = {}
            held: dict[int, dict[int, tuple[int, int]]] = {}
            missing = sum(video.rows - video.decoded - video.undecodable for video in videos)
            with stage_bar("embed", missing, "frames") as advance:
                needs = _Parts(client, store, parts(videos))
                for _, report in run_jobs(client, commit_block, blocks(videos), _describe, needs):
                    counts.blocks += 1
                    counts.frames += report.embedded
                    damaged.update(report.damaged)
                    censuses.update(report.censuses)
                    unreadable.update(report.unreadable)
                    for video, note in report.notes.items():
                        catalogue.update(video, note=note)
                    for video, pair in report.counts.items():
                        held.setdefault(video, {})[report.block] = pair
                    advance(report.embedded)
            counts.censuses += len(censuses)
            _count(store, catalogue, held, unreadable)
            store.write_catalogue(catalogue)
            return damaged

        damaged = embed(
            [video for video in catalogue.videos if video.active and not video.complete]
        )
        if damaged:
            wanted = [catalogue.videos[number] for number in sorted(damaged)]
            surveyed = []
            jobs = _census_jobs(store, wanted)
            for job, trouble in run_jobs(client, take_and_keep_census, jobs, _describe_census):
                counts.censuses += 1
                if trouble:
                    catalogue.update(job.video, reason=trouble)
                else:
                    reset = {"decoded": 0, "undecodable": 0, "state": "pending"}
                    catalogue.update(job.video, **reset)
                    surveyed.append(job.video)
            store.write_catalogue(catalogue)
            embed([catalogue.videos[number] for number in sorted(surveyed)])
    return counts


class _Parts:
    """Submits each part when the first block that may hold rows of it is."""

    def __init__(self, client: Client, store: Store, parts: Iterator[PartJob]) -> None:
        self._client, self._store = client, store
        self._parts = parts
        self._next = next(parts, None)
        self._running: list[tuple[int, Future]] = []
        """With the row before which each ends."""

    def __call__(self, block: BlockJob) -> list[Future]:
        """Give what may hold rows of a block; blocks come in ascending order."""
        start = block.block * self._store.block_rows
        stop = start + block.planned_rows
        while self._next is not None and self._next.segments[0].rows.start < stop:
            end = max(segment.rows.stop for segment in self._next.segments)
            future = self._client.submit(embed_part, self._next, pure=False)
            self._running.append((end, future))
            self._next = next(self._parts, None)
        self._running = [(end, future) for end, future in self._running if end > start]
        return [future for _, future in self._running]


def _seekable(store: Store, video: Video) -> bool:
    """Whether decoding may start at keyframes; only what is noted as odd may not."""
    return not video.note or store.read_index(video.fingerprint).seekable


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


def _census_jobs(store: Store, videos: Sequence[Video]) -> Iterator[CensusJob]:
    for video in videos:
        yield CensusJob(str(store.path), video.video, video.source, video.fingerprint)


def _describe(job: BlockJob) -> str:
    names = ", ".join(sorted({segment.source for segment in job.segments})[:3])
    return f"Embedding block {job.block} ({names})"


def _describe_census(job: CensusJob) -> str:
    return f"Surveying {job.source}"
