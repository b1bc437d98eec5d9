"""Contrastive training, an epoch at a time: SimCLR (Chen et al. 2020), with time.

Two views of one moment shall have like vectors, views of different moments unlike ones. A moment
is a frame and its neighbours in time, so that what moves and flickers counts for nothing; frames
of the same video that are close in time but no neighbours are neither like nor unlike: half a
second later the same thing is usually still there.
"""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, normalize

from coreframe.tasks.embedders.simclr import Network
from coreframe.tasks.train.frames import TrainingFrames
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.train.views import random_views

NEIGHBOUR_S = 0.5
"""Frames no farther apart are views of one moment."""

UNDECIDED_S = 2.0
"""Frames of one video that are no farther apart are not told from one another."""

TEMPERATURE = 0.1
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4
WARM_UP = 0.05
"""Share of all steps in which the learning rate rises, before it falls as a cosine does."""


@dataclass
class TrainingState:
    """A network between two epochs, and what the next one needs."""

    network: Network
    optimizer: torch.optim.Optimizer
    losses: list[float] = field(default_factory=list)
    """Mean loss of each epoch so far."""

    @classmethod
    def fresh(cls, network: Network) -> "TrainingState":
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        return cls(network, optimizer)


def new_network(seed: int) -> Network:
    """Make a network with random weights; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network()


def train_epoch(
    state: TrainingState, frames: TrainingFrames, settings: TrainingSettings, device: torch.device
) -> TrainingState:
    """Show every frame once, and return the state that comes of it; the given one is kept.

    What is drawn depends on the seed and the epoch only.
    """
    state = copy.deepcopy(state)
    network, optimizer = state.network.train(), state.optimizer
    epoch = len(state.losses)
    generator = torch.Generator().manual_seed(settings.seed * 2**20 + epoch)
    pictures = frames.open()
    order = torch.randperm(len(frames), generator=generator).numpy()
    steps = -(-len(frames) // settings.batch_size)
    first, stop = frames.neighbours(NEIGHBOUR_S)
    total = 0.0
    for step, here in enumerate(np.array_split(order, steps)):
        rate = LEARNING_RATE * _rate(epoch * steps + step + 1, settings.max_epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        drawn = torch.rand(len(here), generator=generator, dtype=torch.float64).numpy()
        there = first[here] + (drawn * (stop - first)[here]).astype(np.int64)
        places = np.concatenate((here, there))
        views = random_views(pictures[places].to(device), generator, settings.augmentation)
        vectors = normalize(network(views.contiguous(memory_format=torch.channels_last)))
        loss = contrastive_loss(vectors, undecided(frames, places).to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(here)
    state.losses.append(total / len(frames))
    return state


def undecided(frames: TrainingFrames, places: NDArray[np.int64]) -> torch.Tensor:
    """(m, m) bool: which pairs of (m,) frames are of one video and close in time."""
    video = torch.from_numpy(frames.video[places])
    time_s = torch.from_numpy(frames.time_s[places])
    close = (time_s[:, None] - time_s[None, :]).abs() <= UNDECIDED_S
    return close & (video[:, None] == video[None, :])


def contrastive_loss(vectors: torch.Tensor, undecided: torch.Tensor) -> torch.Tensor:
    """NT-Xent: how badly each vector's partner is told from all others.

    Args:
        vectors: (2n, dim) unit vectors; i and i + n are partners.
        undecided: (2n, 2n) bool, pairs that are left out unless they are partners.
    """
    count = len(vectors)
    partner = torch.arange(count, device=vectors.device).roll(count // 2)
    left_out = undecided.clone()
    left_out[torch.arange(count, device=vectors.device), partner] = False
    left_out.fill_diagonal_(True)
    likeness = (vectors @ vectors.T / TEMPERATURE).masked_fill(left_out, -torch.inf)
    return cross_entropy(likeness, partner)


def _rate(step: int, steps: int) -> float:
    rising = min(1.0, step / (WARM_UP * steps + 1))
    return rising * 0.5 * (1 + math.cos(math.pi * step / (steps + 1)))
