"""How many pictures a network is given at once on a GPU, where nobody says."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from coreframe.tasks.device import gpu_name, resolve_device
from coreframe.tasks.embedders.embedder import (
    EmbedderSpec,
    embed_images,
    load_embedder,
)
from coreframe.tasks.store.batches import read_batches, settle_batch
from coreframe.tasks.store.store import Store

SIZES = (32, 64, 128, 256)

GAIN = 1.05
"""How many times as many pictures a second a larger batch must give: it takes more memory."""

BUSY_S = 0.25
"""A batch that takes so long keeps any GPU busy: larger ones are not tried."""

RUNS = 3


@dataclass(frozen=True)
class BatchJob:
    """What is to be embedded with which embedder."""

    store: str
    embedder: EmbedderSpec


def settled_batch(job: BatchJob) -> int:
    """Say how many pictures the embedder is to be given at once on the GPU of this process.

    It is measured when the store meets this kind of GPU for the first time, while nothing else uses
    it, and is the same from then on. On the CPU it is what the embedder is given anyhow.
    """
    device = resolve_device(job.embedder.device)
    if device.type != "cuda":
        return job.embedder.batch_size
    store, place = Store.open(job.store), f"{gpu_name()}, {job.embedder.processes} processes"
    size = read_batches(store).get(place)
    if size is None:
        size = fastest(lambda size: _seconds(replace(job.embedder, batch_size=size)))
        settle_batch(store, place, size)
    return size


def fastest(seconds: Callable[[int], float]) -> int:
    """The smallest of `SIZES` that gives as many pictures a second as any, nearly.

    Args:
        seconds: that a batch of so many takes.
    """
    rates: dict[int, float] = {}
    for size in SIZES:
        taken_s = seconds(size)
        rates[size] = size / taken_s
        if taken_s >= BUSY_S:
            break
    return _smallest(rates)


def _smallest(rates: Mapping[int, float]) -> int:
    enough = max(rates.values()) / GAIN
    return min(size for size, rate in rates.items() if rate >= enough)


def _seconds(spec: EmbedderSpec) -> float:
    """How long it takes to embed a batch: pictures of noise, from where decoders leave them.

    One that does not fit into the memory is embedded in halves, and gains nothing.
    """
    embedder, device = load_embedder(spec), resolve_device(spec.device)
    side = embedder.framing.side_px
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    images = [picture] * spec.batch_size
    taken = []
    for _ in range(1 + RUNS):  # in the first one it prepares itself
        begin = time.perf_counter()
        embed_images(embedder, images, device)
        taken.append(time.perf_counter() - begin)
    return min(taken[1:])
