"""Which device tensors live on."""

from __future__ import annotations

from enum import StrEnum

from coreframe.tasks.errors import UsageError
from coreframe.tasks.lazy import torch


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

    Raises:
        UsageError: a GPU was asked for and there is none, or it is no such name.
    """
    if device not in set(Device):
        raise UsageError(f"unknown device {device!r}: use auto, cpu or cuda.")
    if device == Device.CPU or (device == Device.AUTO and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("device cuda: torch sees no GPU here. Use --device auto or cpu.")
    return torch.device("cuda")
