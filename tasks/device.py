"""Which device tensors live on, and what processes that share a GPU leave one another."""

from __future__ import annotations

import ctypes
import sys
from enum import StrEnum

from coreframe.tasks.errors import UsageError
from coreframe.tasks.lazy import torch

CUDA = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
"""The driver's library, without which torch sees no GPU."""


class Device(StrEnum):
    """Where people want something computed."""

    AUTO = "auto"
    """On a GPU when there is one, else on the CPU."""
    CPU = "cpu"
    CUDA = "cuda"


class Decoder(StrEnum):
    """Who is to decode where there is a GPU."""

    AUTO = "auto"
    """Whoever is faster, a part of a video at a time."""
    CPU = "cpu"
    GPU = "gpu"
    """The GPU, where it can."""


def resolve_device(device: str) -> torch.device:
    """The device that one of :class:`Device` means here.

    On a GPU float32 products are float32 from then on: `coreframe.tasks.lattice` and the scaler of
    `coreframe.tasks.gpu_video` are exact only then. It is torch's default, but NVIDIA's containers
    set ``TORCH_ALLOW_TF32_CUBLAS_OVERRIDE``, which makes it TF32, of 11 significant bits.

    Raises:
        UsageError: a GPU was asked for and there is none, or it is no such name.
    """
    if device not in set(Device):
        raise UsageError(f"unknown device {device!r}: use auto, cpu or cuda.")
    if device == Device.CPU or (device == Device.AUTO and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("device cuda: torch sees no GPU here. Use --device auto or cpu.")
    torch.set_float32_matmul_precision("highest")
    return torch.device("cuda")


def has_gpu_driver() -> bool:
    """Whether torch, which takes a second and a half to import, is worth asking for GPUs."""
    try:
        ctypes.CDLL(CUDA[sys.platform])
    except (KeyError, OSError):
        return False
    return True


def offer_gpu(device: str) -> str | None:
    """Give back GPU memory that is kept for later use only, and name the GPU.

    Args:
        device: one of :class:`Device`.

    Returns:
        What is the same for all processes that compute on this GPU, and for no others; None for
        the CPU.
    """
    if device == Device.CPU or not has_gpu_driver() or not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    return str(torch.cuda.get_device_properties(0).uuid)


def limit_gpu_memory(device: torch.device, share: float) -> None:
    """Let the tensors of this process fill so much of its GPU's memory at most.

    What one process keeps for later use, another that shares the GPU could not have.
    """
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share)


def gpu_name() -> str:
    """Of which make the GPU is that this process computes on."""
    return str(torch.cuda.get_device_name(0))
