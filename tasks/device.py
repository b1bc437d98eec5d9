"""Which device tensors live on."""

import torch

from coreframe.tasks.errors import UsageError


def resolve_device(device: str) -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda`` means here.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if device in ("auto", "cuda"):
        if not torch.cuda.is_available():
            raise UsageError("device cuda: torch sees no GPU here. Use --device auto or cpu.")
        return torch.device("cuda")
    raise UsageError(f"unknown device {device!r}: use auto, cpu or cuda.")
