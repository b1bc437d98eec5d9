"""Stages of training: decode the frames to learn from, then learn from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dask.distributed import Client
from prefect.logging import get_run_logger

from coreframe.tasks.engine.dispatch import gather, run_jobs
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.names import shown
from coreframe.tasks.select.baselines import fixed_rate_rows
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store
from coreframe.tasks.train import job
from coreframe.tasks.train.contrast import UNDECIDED_S
from coreframe.tasks.train.frames import PictureFile, TrainingFrames
from coreframe.tasks.train.job import FramesJob, Trained, read_frames
from coreframe.tasks.train.outputs import write_summary, write_trained
from coreframe.tasks.train.settings import TrainingSettings

FRAMES_PER_JOB = 1024

LEAST_FRAMES = 16
"""Fewer teach nothing."""


@dataclass
class Gathered:
    """The frames to learn from, and what could not be had."""

    frames: TrainingFrames
    duplicates: int
    """Frames left out because their pixels equal an earlier one's."""
    failures: list[str] = field(default_factory=list)
    """One sentence for each run of frames that could not be read again."""


def gather_frames(
    store: Store, folder: Path, input_px: int, max_frames: int, cluster: str
) -> Gathered:
    """Decode frames of a store again, as small pictures, into files of a folder.

    Args:
        store: says which frames there are.
        folder: an empty one, that the workers see too.
        input_px: side of the pictures.
        max_frames: of more, so many at an even stride.
        cluster: address of the scheduler.

    Raises:
        CoreframeError: there are too few to learn from.
    """
    corpus = read_corpus(store, ["row", "video", "frame_index", "time_s", "digest"])
    unique = corpus.drop_duplicates("digest", keep="first")
    count = min(max_frames, len(unique))
    chosen = unique.iloc[fixed_rate_rows(np.arange(len(unique)), count)]
    jobs = _frames_jobs(store, chosen, folder, input_px)
    files: list[PictureFile] = []
    failures = []
    with Client(cluster) as client, stage_bar("frames", len(chosen), "frames") as advance:
        for one, result in run_jobs(client, read_frames, jobs, _describe):
            files.append(PictureFile(one.target, one.video, result.time_s))
            lost = len(one.frame_index) - len(result.time_s)
            if lost:
                reason = result.trouble or "it cannot be decoded, or the crop does not fit it"
                failures.append(shown(f"{lost:,} frames of {one.source} are left out: {reason}"))
            advance(len(one.frame_index))
    frames = TrainingFrames.from_files(files)
    _refuse_too_few(frames, store, failures)
    return Gathered(frames, len(corpus) - len(unique), failures)


frames_stage = stage("frames")(gather_frames)


def _frames_jobs(
    store: Store, chosen: pd.DataFrame, folder: Path, input_px: int
) -> Iterator[FramesJob]:
    """Cut the chosen frames into jobs; each writes a file of its own, named in their order."""
    videos = {video.video: video for video in store.read_catalogue().videos}
    number = 0
    for key, own in chosen.groupby("video", sort=True):
        video = videos[int(str(key))]
        for start in range(0, len(own), FRAMES_PER_JOB):
            some = own.iloc[start : start + FRAMES_PER_JOB]
            yield FramesJob(
                store=store.path,
                video=video.video,
                source=video.source,
                fingerprint=video.fingerprint,
                frame_index=some["frame_index"].to_numpy(),
                time_s=some["time_s"].to_numpy(),
                input_px=input_px,
                viewing=store.settings.viewing.of(video),
                target=folder / f"{number:08d}.npy",
            )
            number += 1


def _refuse_too_few(frames: TrainingFrames, store: Store, failures: Sequence[str]) -> None:
    """Refuse frames that teach nothing; ``failures`` say why some are not there.

    Raises:
        CoreframeError: they are too few, or not told apart.
    """
    if len(frames) < LEAST_FRAMES:
        reasons = f" ({'; '.join(failures[:2])})" if failures else ""
        raise CoreframeError(
            f"the store {store.path} has {len(frames)} different frames to learn from{reasons}, "
            f"and training needs {LEAST_FRAMES} at least: ingest more video first."
        )
    if len(np.unique(frames.video)) == 1 and np.ptp(frames.time_s) <= UNDECIDED_S:
        raise CoreframeError(
            f"all {len(frames)} frames of the store {store.path} are of one video and within "
            f"{UNDECIDED_S:g} s, which training does not tell apart: ingest more video first."
        )


def train_network(
    frames: TrainingFrames,
    settings: TrainingSettings,
    input_px: int,
    checkpoint: str | None,
    device: str,
    cluster: str,
    out: Path,
) -> Trained:
    """Train on one worker. The loss of each epoch goes to the run's log, and to ``out``.

    Args:
        frames: what to learn from.
        settings: how.
        input_px: side of the pictures.
        checkpoint: absolute path of one to start from, or None.
        device: ``auto``, ``cpu`` or ``cuda``.
        cluster: address of the scheduler.
        out: where what each epoch ends with is written over what the last one did.
    """
    log = get_run_logger()
    with Client(cluster) as client, stage_bar("train", settings.max_epochs, "epochs") as advance:
        state = client.submit(job.begin, checkpoint, settings, device, pure=False)
        for number in range(settings.max_epochs):
            state = client.submit(job.epoch, state, frames, settings, device, pure=False)
            done = client.submit(job.finish, state, len(frames), input_px, pure=False)
            (trained,) = gather(client, [done], "Training")
            write_trained(out, trained)
            loss = trained.losses[-1]
            log.info("epoch %d of %d: loss %.4f", number + 1, settings.max_epochs, loss)
            advance(1)
    return trained


train_stage = stage("train")(train_network)


def _describe(one: FramesJob) -> str:
    return f"Reading {len(one.frame_index):,} frames of {one.source}"


def write_training(out: Path, trained: Trained, run: Mapping[str, Any]) -> None:
    """Write what says that training came to its end.

    Args:
        out: the output folder.
        trained: what came of it.
        run: what ``train.json`` holds.
    """
    write_summary(out, trained.losses, run)


summary_stage = stage("report")(write_training)
