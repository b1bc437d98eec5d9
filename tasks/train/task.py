"""Stages of training: decode the frames to learn from, then learn from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dask.distributed import Client
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from coreframe.tasks.embedders.simclr import CHECKPOINT
from coreframe.tasks.engine.dispatch import gather, run_jobs
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.select.baselines import fixed_rate_rows
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store
from coreframe.tasks.train import job
from coreframe.tasks.train.contrast import UNDECIDED_S
from coreframe.tasks.train.frames import TrainingFrames
from coreframe.tasks.train.job import FramesJob, Trained, read_frames
from coreframe.tasks.train.outputs import write_summary, write_trained
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.video.pixels import Crop

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
    videos = {video.video: video for video in store.read_catalogue().videos}
    crop = Crop.parse(store.settings.crop) if store.settings.crop else None

    def jobs() -> Iterator[FramesJob]:
        number = 0
        for video, own in chosen.groupby("video", sort=True):
            source, known = videos[int(str(video))].source, videos[int(str(video))].fingerprint
            for start in range(0, len(own), FRAMES_PER_JOB):
                some = own.iloc[start : start + FRAMES_PER_JOB]
                index, time_s = some["frame_index"].to_numpy(), some["time_s"].to_numpy()
                target = folder / f"{number:08d}.npy"
                place = (store.path, int(str(video)), source, known)
                yield FramesJob(*place, index, time_s, input_px, crop, target)
                number += 1

    read: dict[Path, tuple[int, np.ndarray]] = {}
    failures = []
    with Client(cluster) as client, stage_bar("frames", len(chosen), "frames") as advance:
        for one, result in run_jobs(client, read_frames, jobs(), _describe):
            read[one.target] = (one.video, result.time_s)
            lost = len(one.frame_index) - len(result.time_s)
            if lost:
                reason = result.trouble or "it cannot be decoded, or the crop does not fit it"
                failures.append(f"{lost:,} frames of {one.source} are left out: {reason}")
            advance(len(one.frame_index))
    files = sorted(file for file, (_, time_s) in read.items() if len(time_s))
    times = [read[file][1] for file in files]
    video = [np.full(len(read[file][1]), read[file][0], np.int32) for file in files]
    frames = TrainingFrames(
        tuple(files),
        np.concatenate(video) if video else np.zeros(0, np.int32),
        np.concatenate(times) if times else np.zeros(0),
    )
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
    return Gathered(frames, len(corpus) - len(unique), failures)


frames_stage = stage("frames")(gather_frames)


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
        trainee = client.submit(job.begin, checkpoint, settings, device, pure=False)
        for number in range(settings.max_epochs):
            trainee = client.submit(job.epoch, trainee, frames, settings, device, pure=False)
            done = client.submit(job.finish, trainee, len(frames), input_px, pure=False)
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
    """Write what says that training came to its end, and show the losses in Prefect.

    Args:
        out: the output folder.
        trained: what came of it.
        run: what ``train.json`` holds.
    """
    write_summary(out, trained.losses, run)
    epochs = list(range(1, len(trained.losses) + 1))
    create_table_artifact(
        key="coreframe-training",
        table={"epoch": epochs, "loss": trained.losses},
        description=f"Contrastive loss by epoch; {out / CHECKPOINT} is {trained.fingerprint}.",
    )


summary_stage = stage("report")(write_training)
