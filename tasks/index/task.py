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
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.stalls import forget_stalls
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.pixels import Crop
from coreframe.tasks.video.sampling import Sampling

MOST_FILES_PER_JOB = 16

JOBS_PER_WORKER = 4
"""So many at least, where there are files enough: the last are then done at about one time."""


def index_files(
    store: Store,
    files: Sequence[SourceFile],
    sampling: Sampling,
    crop: Crop | None,
    cluster: str,
    *,
    stall_limit_s: float = 0.0,
    retry_quarantined: bool = False,
) -> list[int]:
    """Index new and changed files, plan their rows, and write the catalogue.

    A file whose content is known keeps its entry, also under another name. New content under a
    known name retires the old entry. A video whose file is gone goes missing until it is back.

    A file that kills its workers is taken out: the others of its job are looked at one by one.

    Args:
        store: to bring up to date.
        files: what to look at.
        sampling: which frames become rows.
        crop: what every picture must hold.
        cluster: the scheduler's address.
        stall_limit_s: longest time without a packet or frame; 0 for any.
        retry_quarantined: try those again that were taken out.

    Returns:
        The catalogue numbers of the given files, in their order.
    """
    catalogue = store.read_catalogue()
    before = list(catalogue.videos)
    forget_stalls(store)
    if retry_quarantined:
        for video in before:
            catalogue.released(video.video)
    out = frozenset(v.fingerprint for v in catalogue.videos if v.state == "quarantined")
    looked_at: dict[int, list[Video]] = {}
    known = {
        video.source: video
        for video in catalogue.videos
        if video.version and video.state != "retired" and (video.rows or video.state != "pending")
    }
    unchanged = {
        place: known[file.path]
        for place, file in enumerate(files)
        if file.path in known and known[file.path].version == file.version
    }
    new = [file for place, file in enumerate(files) if place not in unchanged]
    with Client(cluster) as client, stage_bar("index", len(new), "files") as advance:
        share = len(new) // (JOBS_PER_WORKER * workers(client))
        many = min(max(share, 1), MOST_FILES_PER_JOB)
        jobs = [
            IndexJob(
                store.path,
                first,
                tuple(new[first : first + many]),
                sampling,
                crop,
                out,
                stall_limit_s,
            )
            for first in range(0, len(new), many)
        ]

        def one_by_one(job: IndexJob, error: KilledWorker) -> list[Video]:
            if len(job.files) == 1:
                return [_quarantined(job.files[0], error)]
            singles = [replace(job, files=(file,)) for file in job.files]
            return [
                entry
                for single in singles
                for _, result in run_jobs(
                    client, look_at_files, [single], _describe, killed=one_by_one
                )
                for entry in result
            ]

        for job, result in run_jobs(client, look_at_files, jobs, _describe, killed=one_by_one):
            looked_at[job.first] = result
            advance(len(result))
    fresh = (entry for job in jobs for entry in looked_at[job.first])
    numbers = merge(
        catalogue,
        (unchanged[place] if place in unchanged else next(fresh) for place in range(len(files))),
    )
    store.plan_rows(catalogue.rows)
    if catalogue.videos != before:
        store.write_catalogue(catalogue)
    return numbers


index_stage = stage("index")(index_files)


def _quarantined(file: SourceFile, error: KilledWorker) -> Video:
    """The entry of a file that kills whoever opens it."""
    return Video(
        -1,
        file.name,
        file.path,
        fingerprint(file.path),
        size_bytes(file.path),
        "quarantined",
        deadly(error, "read its packets or its first frame"),
        attempts=deaths(error),
        version=file.version,
    )


def _describe(job: IndexJob) -> str:
    return f"Indexing {job.files[0].path} and the {len(job.files) - 1} files after it"
