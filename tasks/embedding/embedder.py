"""What an embedder is, and how one is found by name."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch

from tasks.embedding.descriptor import DescriptorEmbedder
from tasks.errors import UsageError
from tasks.lattice import quantise


@dataclass(frozen=True)
class EmbedderSpec:
    """All that a worker needs to make the embedder. Small, and equal specs make equal embedders."""

    name: str = "descriptor"
    input_px: int | None = None
    """Side of the square picture it is given; None for the embedder's own choice."""
    device: str = "auto"
    """``auto`` (a GPU when there is one), ``cpu`` or ``cuda``."""
    batch_size: int = 64


class Embedder(Protocol):
    """Turns pictures into unit vectors. One instance serves one process."""

    dim: int
    input_px: int
    fingerprint: str
    """Changes whenever the same picture could give another vector: version, weights, pooling."""

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(n, input_px, input_px, 3) uint8 RGB on its device to (n, dim) unit vectors."""
        ...


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


@lru_cache(maxsize=2)
def load_embedder(spec: EmbedderSpec) -> Embedder:
    """Make the embedder that a spec names, once per process.

    Raises:
        UsageError: no such embedder, or it cannot take that input size.
    """
    if spec.name == "descriptor":
        return DescriptorEmbedder(spec.input_px)
    raise UsageError(f"unknown embedder {spec.name!r}: use descriptor.")


def embed_images(embedder: Embedder, images: list[np.ndarray], device: torch.device) -> np.ndarray:
    """Embed pictures of equal size.

    Args:
        embedder: see above.
        images: (input_px, input_px, 3) uint8 RGB each.
        device: where to compute.

    Returns:
        (len(images), dim) int16 lattice.
    """
    batch = torch.from_numpy(np.stack(images))
    with torch.inference_mode():
        return quantise(embedder.embed(batch.to(device, non_blocking=True)))
