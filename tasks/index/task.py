"""Stage 1, index: bring the catalogue up to date with the files."""

from collections.abc import Sequence
from dataclasses import replace

from dask.distributed import Client, KilledWorker

from coreframe.tasks.engine.dispatch import deadly, deaths, run_jobs, workers
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.index.job import IndexJob, look_at_files
from coreframe.tasks.index.merge import merge
from coreframe.tasks.storage.files import size_bytes
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState
from coreframe.tasks.store.corpus import refuse_lost_blocks
from coreframe.tasks.store.stalls import forget_stalls
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.claims import MOST_FRAMES
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.sampling import Sampling

MOST_FILES_PER_JOB = 16

JOBS_PER_WORKER = 4
"""So many at least, where there are files enough: the last are then done at about one time."""


def index_files(
    store: Store,
    files: Sequence[SourceFile],
    sampling: Sampling,
    cluster: str,
    *,
    stall_limit_s: float = 0.0,
    retry_quarantined: bool = False,
    forgotten: frozenset[str] = frozenset(),
    most_frames: int = MOST_FRAMES,
) -> list[int | None]:
    """Index new and changed files, plan their rows, and write the catalogue.

    A file whose content is known keeps its entry, also under another name. New content under a
    known name retires the old entry. A video whose file is gone goes missing until it is back.

    A file that kills its workers is taken out: the others of its job are looked at one by one.

    Args:
        store: to bring up to date.
        files: what to look at.
        sampling: which frames become rows.
        cluster: the scheduler's address.
        stall_limit_s: longest time without a packet or frame; 0 for any.
        retry_quarantined: try those again that were taken out.
        forgotten: fingerprints of contents of which nothing is to be kept.
        most_frames: that a file may have.

    Returns:
        The catalogue numbers of the given files, in their order; None for forgotten ones.
    """
    catalogue = store.read_catalogue()
    refuse_lost_blocks(store, catalogue)
    before = list(catalogue.videos)
    forget_stalls(store)
    if retry_quarantined:
        for video in before:
            catalogue.released(video.video)
    unchanged = _unchanged(catalogue, files)
    new = [file for place, file in enumerate(files) if place not in unchanged]
    every = IndexJob(
        store=store.path,
        first=0,
        files=tuple(new),
        sampling=sampling,
        viewing=store.settings.viewing,
        quarantined=frozenset(
            video.fingerprint for video in catalogue.videos if video.state == VideoState.QUARANTINED
        ),
        forgotten=forgotten,
        stall_limit_s=stall_limit_s,
        most_frames=most_frames,
    )
    fresh = iter(_look_at(every, cluster))
    numbers = merge(
        catalogue,
        (unchanged[place] if place in unchanged else next(fresh) for place in range(len(files))),
    )
    store.plan_rows(catalogue.rows)
    if catalogue.videos != before:
        store.write_catalogue(catalogue)
    return numbers


index_stage = stage("index")(index_files)


def _unchanged(catalogue: Catalogue, files: Sequence[SourceFile]) -> dict[int, Video]:
    """What the catalogue knows of files in an object store that are as they were, by place."""
    known = {
        video.source: video
        for video in catalogue.videos
        if video.version
        and video.state != VideoState.RETIRED
        and (video.rows or video.state != VideoState.PENDING)
    }
    return {
        place: known[file.path]
        for place, file in enumerate(files)
        if file.path in known and known[file.path].version == file.version
    }


def _look_at(every: IndexJob, cluster: str) -> list[Video]:
    """Cut a job into jobs for all workers, and give what they find, in the order of its files."""
    files = every.files
    looked_at: dict[int, list[Video]] = {}
    with Client(cluster) as client, stage_bar("index", len(files), "files") as advance:
        share = len(files) // (JOBS_PER_WORKER * workers(client))
        many = min(max(share, 1), MOST_FILES_PER_JOB)
        jobs = [
            replace(every, first=first, files=files[first : first + many])
            for first in range(0, len(files), many)
        ]

        def one_by_one(job: IndexJob, error: KilledWorker) -> list[Video]:
            if len(job.files) == 1:
                return [_quarantined(job.files[0], error)]
            singles = [replace(job, files=(file,)) for file in job.files]
            return [
                video
                for single in singles
                for _, result in run_jobs(
                    client, look_at_files, [single], _describe, killed=one_by_one
                )
                for video in result
            ]

        for job, result in run_jobs(client, look_at_files, jobs, _describe, killed=one_by_one):
            looked_at[job.first] = result
            advance(len(result))
    return [video for job in jobs for video in looked_at[job.first]]


def _quarantined(file: SourceFile, error: KilledWorker) -> Video:
    """What the catalogue is to say of a file that kills whoever opens it."""
    return Video(
        video=-1,
        path=file.name,
        source=file.path,
        fingerprint=fingerprint(file.path),
        size_bytes=size_bytes(file.path),
        state=VideoState.QUARANTINED,
        reason=deadly(error, "read its packets or its first frame"),
        attempts=deaths(error),
        version=file.version,
    )


def _describe(job: IndexJob) -> str:
    others = len(job.files) - 1
    more = f" and the {'file' if others == 1 else f'{others} files'} after it" if others else ""
    return f"Indexing {job.files[0].path}{more}"
