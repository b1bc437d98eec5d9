"""Stage 1, index: bring the catalogue up to date with the files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dask.distributed import Client, KilledWorker

from tasks.dispatch import deadly, deaths, run_jobs, workers
from tasks.jobs.index import IndexJob, look_at_files
from tasks.progress import stage_bar
from tasks.stage import stage
from tasks.storage.files import exists, size_bytes
from tasks.store.catalogue import Catalogue, Video, unique_name
from tasks.store.fingerprint import fingerprint
from tasks.store.stalls import forget_stalls
from tasks.store.store import Store
from tasks.video.discover import SourceFile
from tasks.video.pixels import Crop
from tasks.video.sampling import Sampling

MOST_FILES_PER_JOB = 16

JOBS_PER_WORKER = 4
"""So many at least, where there are files enough: the last are then done at about one time."""


@stage("index")
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
    numbers = _merge(
        catalogue,
        (unchanged[place] if place in unchanged else next(fresh) for place in range(len(files))),
    )
    store.plan_rows(catalogue.rows)
    if catalogue.videos != before:
        store.write_catalogue(catalogue)
    return numbers


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


def _merge(catalogue: Catalogue, looked_at: Iterable[Video]) -> list[int]:
    """Enter what was found into the catalogue, in the order of the files."""
    current = [video for video in catalogue.videos if video.state != "retired"]
    by_source = {video.source: video.video for video in current}
    taken = {video.path for video in current}
    by_content: dict[str, list[int]] = {}
    quarantined: dict[str, Video] = {}
    for video in catalogue.videos:
        if video.rows:
            by_content.setdefault(video.fingerprint, []).append(video.video)
        if video.state == "quarantined":
            quarantined.setdefault(video.fingerprint, video)
    next_row = catalogue.rows
    numbers: list[int] = []
    for entry in looked_at:
        known = quarantined.get(entry.fingerprint)
        if known is not None:  # its content was not opened
            entry = replace(known, path=entry.path, source=entry.source, first_row=-1)
            entry = replace(entry, rows=0, decoded=0, undecodable=0)
        own = by_source.get(entry.source)
        if own is not None:
            old = catalogue.videos[own]
            if not entry.fingerprint or entry.fingerprint == old.fingerprint:
                if entry.version != old.version:
                    catalogue.update(own, version=entry.version)
                if old.rows or not entry.fingerprint or old.state == "quarantined":
                    catalogue.revived(own)
                else:  # nothing is planned of it: what was found now counts
                    attempts = old.attempts + entry.attempts
                    own_row = next_row if entry.rows else -1
                    next_row += entry.rows
                    catalogue.videos[own] = replace(
                        entry, video=own, path=old.path, first_row=own_row, attempts=attempts
                    )
                    if entry.rows:
                        by_content.setdefault(entry.fingerprint, []).append(own)
                numbers.append(own)
                continue
            catalogue.update(own, state="retired", reason="its file now holds another content")
            taken.discard(catalogue.videos[own].path)
        same = by_content.get(entry.fingerprint, [] if known is None else [known.video])
        free = [number for number in same if _without_file(catalogue.videos[number])]
        if free:  # moved here, or back again
            number = free[0]
            taken.discard(catalogue.videos[number].path)
            name = unique_name(entry.path, entry.source, taken)
            catalogue.update(number, path=name, source=entry.source, version=entry.version)
            catalogue.revived(number)
        else:
            number = len(catalogue)
            if same:  # one more copy of a known file, with rows of its own
                entry = replace(entry, note=catalogue.videos[same[0]].note)
            name = unique_name(entry.path, entry.source, taken)
            first_row = next_row if entry.rows else -1
            next_row += entry.rows
            catalogue.videos.append(replace(entry, video=number, path=name, first_row=first_row))
            if entry.rows:
                by_content.setdefault(entry.fingerprint, []).append(number)
        taken.add(name)
        by_source[entry.source] = number
        numbers.append(number)
    for number in sorted(set(range(len(catalogue))) - set(numbers)):
        video = catalogue.videos[number]
        if video.active and not exists(video.source):
            catalogue.update(number, state="missing", reason="its file is gone")
    return numbers


def _without_file(video: Video) -> bool:
    return video.state == "retired" or not exists(video.source)


def _describe(job: IndexJob) -> str:
    return f"Indexing {job.files[0].path} and the {len(job.files) - 1} files after it"
