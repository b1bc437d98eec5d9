"""What makes a network faster on a GPU.

On the CPU nothing of it is used: there vectors stay as they are, to the bit.
"""

import copy
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

logger = logging.getLogger("coreframe")

FOLDED_TOLERANCE = 1e-4
"""Of the largest number of a vector, by which one of a folded network may be another: float32
leaves some 1e-6."""

RUNS = 3
"""The shortest of so many is how long it takes: what else the machine does only adds to it."""

LAUNCHES_S = 0.05
"""Calls of a network's thousand or so kernels take less. A batch that takes longer keeps the GPU
busy without a graph."""

M = TypeVar("M", bound=nn.Module)
Network = Callable[[torch.Tensor], torch.Tensor]


def folded(model: M, apply: Callable[[M], torch.Tensor]) -> M:
    """A copy of a model whose convolutions do the work of the batch norms behind them.

    Which norm is behind which convolution is taken from the order in which modules are written
    down, so the copy is compared with the model, and the model given back where that is wrong.

    Args:
        model: in evaluation mode, on the CPU, in float32.
        apply: what the model makes of some pictures.
    """
    if not any(type(module) is nn.BatchNorm2d for module in model.modules()):
        return model
    changed = copy.deepcopy(model)
    for module in list(changed.modules()):
        for (first, convolution), (second, norm) in itertools.pairwise(module.named_children()):
            if (
                type(convolution) is nn.Conv2d
                and type(norm) is nn.BatchNorm2d
                and convolution.out_channels == norm.num_features
            ):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())
    with torch.inference_mode():
        expected, found = apply(model), apply(changed)
    apart = (found - expected).abs().max()
    return changed if bool(apart <= FOLDED_TOLERANCE * expected.abs().max()) else model


def noise(side_px: int) -> torch.Tensor:
    """(1, side, side, 3) uint8: a picture in which everything of a network has something to do."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, side_px, side_px, 3), dtype=torch.uint8, generator=generator)


@dataclass(frozen=True)
class Recording:
    """A network's work on one batch, ready to be done again without Python and one by one calls."""

    images: torch.Tensor
    """What it works on: to be written over."""
    replay: Callable[[], Any]
    vectors: torch.Tensor
    """What came of it, written over by each replay."""


class Replayed:
    """A network that is replayed as a CUDA graph, if that gives the same bits in less time.

    Whether it does is tried with the first batch of each shape. What cannot be recorded is done
    call by call, as before.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = Lock()
        """Threads share the tensors of a recording."""
        self._shape: torch.Size | None = None
        self._recording: Recording | None = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Apply the network, see `coreframe.tasks.embedders.batches.FixedBatches`."""
        with self._lock:
            if images.shape != self._shape:
                self._recording = None  # of a batch that was too large for the memory
                vectors = self._network(images)
                self._shape, self._recording = images.shape, self._tried(images, vectors)
                return vectors
            if self._recording is None:
                return self._network(images)
            self._recording.images.copy_(images)
            self._recording.replay()
            return self._recording.vectors.clone()

    def _tried(self, images: torch.Tensor, vectors: torch.Tensor) -> Recording | None:
        try:
            if _shortest_s(lambda: self._network(images), runs=1) > LAUNCHES_S:
                return None
            recording = record(self._network, images)
            recording.replay()
            if not torch.equal(recording.vectors, vectors):
                return None
            plain_s = _shortest_s(lambda: self._network(images))
            replayed_s = _shortest_s(recording.replay)
        except RuntimeError as error:  # whatever cannot be recorded, or not beside the rest
            logger.debug("a network is not replayed: %s", error)
            return None
        return recording if replayed_s < plain_s else None


def record(network: Network, images: torch.Tensor) -> Recording:
    """Record a network's work on a batch as a CUDA graph.

    Raises:
        RuntimeError: it does something that cannot be recorded.
    """
    own = images.clone()
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # libraries prepare themselves when they are first used
        for _ in range(RUNS):
            network(own)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on meanwhile: they decode, and bring their pictures to the GPU.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        vectors = network(own)
    return Recording(own, graph.replay, vectors)


def _shortest_s(do: Callable[[], Any], runs: int = RUNS) -> float:
    taken = []
    for _ in range(runs):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        do()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return min(taken)
