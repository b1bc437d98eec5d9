"""Stage 4, export: decode the chosen frames again, check them, and write them as images."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from dask.distributed import Client, KilledWorker
from numpy.typing import NDArray

from coreframe.tasks.engine.dispatch import deadly, explained, run_jobs, workers
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.export.job import ExportJob, export_job, not_written
from coreframe.tasks.output.exported import Exported, Fault
from coreframe.tasks.output.images import PictureSettings, file_stems
from coreframe.tasks.output.selection_table import images_before
from coreframe.tasks.output.thumbnails import side_px
from coreframe.tasks.select.result import Selection
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.store.corpus import FRAME_COLUMNS, read_corpus
from coreframe.tasks.store.store import Store

logger = logging.getLogger("coreframe")

FRAMES_PER_JOB = 32
"""At most."""

JOBS_PER_WORKER = 2
"""Of few frames each worker gets some, though two jobs of one video may both decode what lies
before their frames: to write an image takes as long as to decode ten."""


SMALL_FRAMES = 2_000
"""Up to so many, the report's small pictures are made while the large ones are at hand. Of more,
only some have room in the report, and it makes them itself."""

SIZE_SAMPLE = 32
"""Frames written as the chosen ones are, into nothing, to estimate what all of them would take.
Encoding them takes seconds; encoding all of them would take longer than the run."""


def export_frames(
    store: Store,
    selection: Selection,
    out: Path,
    picture: PictureSettings,
    cluster: str,
) -> tuple[pd.DataFrame, Exported]:
    """Write the chosen frames to ``out/frames`` and say where each went.

    Every frame is decoded anew from its video and must have the digest that was recorded when it
    was embedded. A frame whose video is gone keeps the image that an earlier run wrote to the same
    folder, if that is there. One that could not be written has no file.

    Returns:
        The chosen frames with their files and the names of their videos, and what was written.
    """
    chosen = selection.frames.copy()
    named = set(chosen["video"].tolist())
    videos = {v.video: v for v in store.read_catalogue().videos if v.active or v.video in named}
    stems = file_stems({number: video.path for number, video in videos.items()})
    earlier = images_before(out)
    result = Exported()

    def file_of(row: int, number: int, frame_index: int) -> str | None:
        video = videos[number]
        if video.active:
            return f"frames/{stems[number]}_{frame_index:06d}.{picture.format}"
        kept = earlier.get((row, video.path, frame_index))
        if kept is None or not (out / kept).is_file():
            result.absent += 1
            return None
        result.files += 1
        result.kept_bytes += (out / kept).stat().st_size
        return kept

    keys = zip(chosen["row"], chosen["video"], chosen["frame_index"], strict=True)
    chosen["file"] = pd.Series([file_of(*map(int, key)) for key in keys], dtype="object")
    sample = size_sample(read_corpus(store, ["row"])["row"].to_numpy())
    measured = store.frames_at(sample, FRAME_COLUMNS)
    wanted = pd.concat([chosen, measured]).drop_duplicates("row", keep="first")
    wanted["measure"] = wanted["row"].isin(measured["row"])

    (out / "frames").mkdir(parents=True, exist_ok=True)
    units = chosen["file"].iloc[:: selection.units.length].dropna()
    small_px = side_px(len(units)) if len(chosen) <= SMALL_FRAMES else 0
    names = {str(out / file): file for file in chosen["file"].dropna()}
    with Client(cluster) as client, stage_bar("export", len(chosen), "frames") as advance:
        most = -(-len(wanted) // (JOBS_PER_WORKER * workers(client)))
        jobs = list(_jobs(store, wanted, videos, out, picture, small_px, most))
        for _, one in run_jobs(client, export_job, jobs, _describe, killed=_killed):
            result.files += one.files
            result.kept_bytes += one.kept_bytes
            result.sample += one.sample
            result.small |= {names[path]: small for path, small in one.small.items()}
            result.failures += one.failures
            result.faults |= one.faults
            advance(one.files)
    chosen.loc[chosen["file"].isin([names[one.target] for one in result.failures]), "file"] = None
    return chosen.assign(video=[videos[number].path for number in chosen["video"]]), result


export_stage = stage("export")(export_frames)


def size_sample(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m,) int64, those at an even stride among (n,) rows; all of a small corpus."""
    count = min(SIZE_SAMPLE, len(rows))
    return rows[(2 * np.arange(count) + 1) * len(rows) // (2 * count)]


def _jobs(
    store: Store,
    wanted: pd.DataFrame,
    videos: Mapping[int, Video],
    out: Path,
    picture: PictureSettings,
    small_px: int,
    most: int,
) -> Iterator[ExportJob]:
    """Jobs of at most so many frames of one video."""
    step = min(most, FRAMES_PER_JOB)
    for number, frames in wanted.groupby("video", sort=True):
        video = videos[int(str(number))]
        if not video.active:
            continue
        ordered = frames.sort_values("frame_index")
        for start in range(0, len(ordered), step):
            some = ordered.iloc[start : start + step]
            yield ExportJob(
                store=store.path,
                video=video.video,
                source=video.source,
                fingerprint=video.fingerprint,
                frame_index=tuple(some["frame_index"].tolist()),
                digest=tuple(some["digest"].tolist()),
                targets=tuple(
                    str(out / file) if isinstance(file, str) else "" for file in some["file"]
                ),
                measure=tuple(some["measure"].tolist()),
                viewing=store.settings.viewing.of(video),
                picture=picture,
                small_px=small_px,
            )


def _killed(job: ExportJob, error: KilledWorker) -> Exported:
    lacking = not_written(job, range(len(job.frame_index)), str(explained("it", error)))
    reason = deadly(error, "decoded it again")
    return Exported(
        failures=lacking,
        faults={job.video: Fault(VideoState.QUARANTINED, reason)} if lacking else {},
    )


def _describe(job: ExportJob) -> str:
    return f"Exporting {len(job.frame_index)} frames of {job.source}"


def take_out(store: Store, faults: Mapping[int, Fault]) -> None:
    """Take videos out of the corpus that did not give again what was embedded of them.

    Called by the store's only writer.
    """
    catalogue = store.read_catalogue()
    for number, fault in sorted(faults.items()):
        logger.warning("%s is taken out: %s", catalogue.videos[number].path, fault.reason)
        catalogue.update(number, state=fault.state, reason=fault.reason)
    store.write_catalogue(catalogue)


def raise_on_failures(exported: Exported) -> None:
    """End the run in an error when an image is missing.

    Raises:
        CoreframeError: naming the first and counting the rest.
    """
    if exported.failures:
        first, others = exported.failures[0], len(exported.failures) - 1
        more = f" ({others:,} more like it)" if others else ""
        raise CoreframeError(f"{first.sentence}{more}. {first.next_step}".rstrip())
