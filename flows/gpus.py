"""This machine's GPUs: which there are, what they have room for, and which cores lie beside them.

Nothing here imports Dask.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from coreframe.tasks.device import has_gpu_driver

T = TypeVar("T")

WORKER_GPU_BYTES = 2 * 2**30
"""GPU memory that there must be for each worker by default: CUDA itself takes half a gigabyte of a
process, a decoder's surfaces and the pictures, weights and activations of an embedder the rest."""

SHARED_MODE = 0
"""Of a GPU, as NVML numbers its modes: in the others one process may use it, or none."""


@dataclass(frozen=True)
class Gpu:
    """One of them."""

    name: str
    """By which CUDA_VISIBLE_DEVICES knows it."""
    uuid: str
    memory_bytes: int

    @property
    def room(self) -> int:
        """How many workers may share it; at least 1."""
        mode = _of_driver(self, lambda nvml, handle: nvml.nvmlDeviceGetComputeMode(handle))
        if mode not in (None, SHARED_MODE):
            return 1
        return max(1, self.memory_bytes // WORKER_GPU_BYTES)


def gpus_here() -> tuple[Gpu, ...]:
    """GPUs that torch can use."""
    if not has_gpu_driver():
        return ()
    import torch

    if not torch.cuda.is_available():
        return ()
    count = torch.cuda.device_count()
    # Workers are given one each of what this process may use, by the name that it has there.
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if len(names) < count or not names[0]:
        names = [str(number) for number in range(count)]
    found = [torch.cuda.get_device_properties(number) for number in range(count)]
    return tuple(
        Gpu(name.strip(), str(one.uuid), one.total_memory)
        for name, one in zip(names, found, strict=False)
    )


def cores_beside(gpus: Sequence[Gpu]) -> list[frozenset[int]]:
    """For each GPU, the cores from which the way to it is short, of those that this process has.

    Nothing where it makes no difference or cannot be told, and where it would leave a core without
    work: decoding wants all of them more than it wants short ways.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    own = frozenset(os.sched_getaffinity(0))
    near = [_near(gpu, own) for gpu in gpus]
    if frozenset().union(*near) != own or all(some == own for some in near):
        return []
    return near


def _near(gpu: Gpu, own: frozenset[int]) -> frozenset[int]:
    """The cores beside a GPU as its driver knows them; all where it does not."""
    size = math.ceil((max(own) + 1) / 64)
    words = _of_driver(gpu, lambda nvml, handle: nvml.nvmlDeviceGetCpuAffinity(handle, size))
    if words is None:
        return own
    bits = sum(int(word) << (64 * place) for place, word in enumerate(words))
    return frozenset(core for core in own if bits >> core & 1)


def _of_driver(gpu: Gpu, ask: Callable[[Any, Any], T]) -> T | None:
    """What NVML says of a GPU; None where there is none, or it does not, as of parts of a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return ask(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{gpu.uuid}".encode()))
    except pynvml.NVMLError:
        return None
