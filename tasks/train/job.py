"""Train: frames are decoded to small pictures, and a network learns from them, epoch by epoch.

An epoch is one task: what comes of it is a function of what came of the one before, so a worker
that dies costs time and changes nothing.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from coreframe.tasks.device import limit_gpu_memory, resolve_device
from coreframe.tasks.embedders.simclr import Checkpoint
from coreframe.tasks.errors import DamagedVideoError, OutOfReachError, SourceChangedError
from coreframe.tasks.store.store import Store
from coreframe.tasks.train.contrast import TrainingState, new_network, train_epoch
from coreframe.tasks.train.frames import TrainingFrames
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.video.deinterlace import decode_shown
from coreframe.tasks.video.pixels import Framing, InputScaler, upright_size
from coreframe.tasks.video.viewing import Viewing


@dataclass(frozen=True)
class FramesJob:
    """Some frames of one video, to be kept as small pictures."""

    store: str
    video: int
    source: str
    fingerprint: str
    frame_index: NDArray[np.int32]
    """(n,), ascending."""
    time_s: NDArray[np.float64]
    """(n,), their presentation times."""
    input_px: int
    viewing: Viewing
    target: Path
    """The .npy file to write."""


@dataclass(frozen=True)
class FramesRead:
    """What came of it."""

    time_s: NDArray[np.float64]
    """(m,), of the pictures in the file, in order."""
    trouble: str = ""
    """Why there are fewer than were asked for."""


def read_frames(job: FramesJob) -> FramesRead:
    """Decode frames and write them as (m, side, side, 3) uint8 RGB."""
    index = Store.open(job.store).read_index(job.fingerprint)
    positions = index.positions_of(job.frame_index.tolist())
    time_of = dict(zip(positions.tolist(), job.time_s.tolist(), strict=True))
    scale = InputScaler(Framing(job.input_px), job.viewing)
    images, times, trouble = [], [], ""
    try:
        for one in decode_shown(job.source, index, positions, job.viewing):
            if job.viewing.holds_crop(*upright_size(one.shown, job.viewing)):
                images.append(scale(one.shown))
                times.append(time_of[one.position])
    except (DamagedVideoError, SourceChangedError, OutOfReachError, OSError) as error:
        trouble = str(error)
    shape = (len(images), job.input_px, job.input_px, 3)
    np.save(job.target, np.array(images, np.uint8).reshape(shape))
    return FramesRead(np.array(times), trouble)


def begin(checkpoint: str | None, settings: TrainingSettings, device: str) -> TrainingState:
    """Make a network to train, or take that of a checkpoint."""
    network = new_network(settings.seed)
    if checkpoint is not None:
        network.load_state_dict(Checkpoint.read(checkpoint).network.state_dict())
    return TrainingState.fresh(network.to(resolve_device(device)))


def epoch(
    state: TrainingState, frames: TrainingFrames, settings: TrainingSettings, device: str
) -> TrainingState:
    """See :func:`coreframe.tasks.train.contrast.train_epoch`."""
    place = resolve_device(device)
    limit_gpu_memory(place, 1.0)  # what embedding left to the others, which wait now
    with _threads(settings.threads):
        return train_epoch(state, frames, settings, place)


@dataclass(frozen=True)
class Trained:
    """What an epoch of training ends with."""

    checkpoint: bytes
    """The content of the checkpoint's file."""
    fingerprint: str
    """Of the embedder that it makes."""
    losses: list[float]
    """Mean loss of each epoch so far."""


def finish(state: TrainingState, frames: int, input_px: int) -> Trained:
    """Take the network, which has learned from so many frames, as a checkpoint."""
    network = copy.deepcopy(state.network).eval().cpu()
    checkpoint = Checkpoint(network, input_px, len(state.losses), frames)
    return Trained(checkpoint.to_bytes(), checkpoint.fingerprint(), state.losses)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads; by default on every core.

    The other workers of the machine have nothing to do meanwhile, and the result does not depend
    on how many there are.
    """
    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(count or cores or 1)
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(before)
