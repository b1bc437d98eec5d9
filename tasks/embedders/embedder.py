"""What an embedder is, and how one is found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.device import Device, limit_gpu_memory, resolve_device
from coreframe.tasks.embedders.descriptor import RECIPES, DescriptorEmbedder
from coreframe.tasks.embedders.names import DEFAULT_BATCH, DESCRIPTOR, HUGGINGFACE, SIMCLR
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.lattice import quantise
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.pixels import Framing

EMBEDDING_SHARE = 0.75
"""Of a GPU's memory that the embedders of several processes on it may fill. Outside of that are
CUDA itself, half a gigabyte a process, and the surfaces of decoders."""


@dataclass(frozen=True)
class EmbedderSpec:
    """All that a worker needs to make the embedder. Small, and equal specs make equal embedders."""

    name: str = DESCRIPTOR
    input_px: int | None = None
    """Side of the square picture it is given; None for the embedder's own choice."""
    device: Device = Device.AUTO
    batch_size: int = DEFAULT_BATCH
    batch_asked: bool = True
    """Whether somebody asked for it. Otherwise that of a network on a GPU may be another."""
    processes: int = 1
    """That share a GPU."""

    @property
    def network(self) -> bool:
        """Whether a batch's size decides how fast it is, and the last bits of its vectors."""
        return self.name not in RECIPES


class Embedder(Protocol):
    """Turns pictures into unit vectors. One instance serves all threads of a process."""

    @property
    def dim(self) -> int: ...

    @property
    def framing(self) -> Framing:
        """How frames become the square pictures it is given."""
        ...

    @property
    def fingerprint(self) -> str:
        """Another whenever a picture could give another vector: version, weights, pooling."""
        ...

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(n, side, side, 3) uint8 RGB on its device to (n, dim) unit vectors."""
        ...


@dataclass(frozen=True)
class EmbedderFacts:
    """What is to be known of an embedder where nothing is embedded."""

    dim: int
    input_px: int
    fingerprint: str


def load_embedder(spec: EmbedderSpec) -> Embedder:
    """Make the embedder that a spec names, once for all threads of a process.

    Raises:
        UsageError: no such embedder, or it cannot take that input size.
        CoreframeError: it does not fit into its share of the GPU's memory.
    """
    with _loading:
        device = resolve_device(spec.device)
        alone = spec.processes == 1
        limit_gpu_memory(device, 1.0 if alone else EMBEDDING_SHARE / spec.processes)
        try:
            return _kept_embedder(spec)
        except torch.OutOfMemoryError as error:
            raise _too_little_memory(f"{spec.name}, with {spec.processes} on it") from error


def forget_embedder() -> None:
    """Let the next one be made anew: its files may have changed."""
    with _loading:
        _kept_embedder.cache_clear()


def load_embedder_of(store: str, spec: EmbedderSpec, name: str, fingerprint: str) -> Embedder:
    """Load the embedder that a store was made with.

    Args:
        store: its path, for people.
        spec: the embedder's.
        name: that the store knows it by.
        fingerprint: likewise.

    Raises:
        CoreframeError: the one of its name here is another.
    """
    embedder = load_embedder(spec)
    if embedder.fingerprint != fingerprint:  # its files may have changed since
        forget_embedder()
        embedder = load_embedder(spec)
    if embedder.fingerprint != fingerprint:
        raise CoreframeError(
            f"the store {store} was made with {name} ({fingerprint}), and the worker has another "
            f"of that name ({embedder.fingerprint}): give all machines the same model files."
        )
    return embedder


_loading = Lock()


@lru_cache(maxsize=1)
def _kept_embedder(spec: EmbedderSpec) -> Embedder:
    return _make_embedder(spec)


def _too_little_memory(embedder: str) -> CoreframeError:
    return CoreframeError(
        f"the GPU has too little memory for the embedder {embedder}: let fewer processes share it "
        "(--workers), use a smaller --input-size or model, or --device cpu."
    )


def _make_embedder(spec: EmbedderSpec) -> Embedder:
    if spec.name in RECIPES:
        return DescriptorEmbedder(spec.input_px, spec.name)
    device = resolve_device(spec.device)
    if spec.name.startswith(HUGGINGFACE):
        from coreframe.tasks.embedders.huggingface import HuggingFaceEmbedder

        return HuggingFaceEmbedder(spec.name, spec.input_px, device, spec.batch_size)
    if spec.name.startswith(SIMCLR):
        from coreframe.tasks.embedders.simclr import SimclrEmbedder

        return SimclrEmbedder(spec.name, spec.input_px, device, spec.batch_size)
    if spec.name == SIMCLR.removesuffix(":"):
        raise UsageError(
            "embedder simclr needs a checkpoint: make one with `coreframe train --store STORE "
            "--out FOLDER`, and use --embedder simclr:FOLDER."
        )
    raise UsageError(
        f"unknown embedder {spec.name!r}: use {DESCRIPTOR}, {HUGGINGFACE}ID or "
        f"{HUGGINGFACE}FOLDER of a Hugging Face model, or {SIMCLR}FOLDER of a "
        "checkpoint."
    )


def embedder_facts(spec: EmbedderSpec) -> EmbedderFacts:
    """Make an embedder on the CPU, see that it works, and let go of its weights.

    Raises:
        UsageError: as :func:`load_embedder`.
    """
    place = Path(spec.name.partition(":")[2])
    files = sorted(place.glob("*")) if place.is_dir() else [place]
    return _facts(spec, tuple(file.stat().st_mtime_ns for file in files if file.is_file()))


@lru_cache
def _facts(spec: EmbedderSpec, changed_ns: tuple[int, ...]) -> EmbedderFacts:
    """They are asked for twice a run, and hold for as long as the files are not written anew."""
    embedder = _make_embedder(replace(spec, device=Device.CPU))
    return EmbedderFacts(embedder.dim, embedder.framing.side_px, embedder.fingerprint)


def embed_images(
    embedder: Embedder, images: Sequence[NDArray[np.uint8]], device: torch.device
) -> NDArray[np.int16]:
    """Embed pictures of equal size, and wait for it: see :func:`begin_embedding`.

    Returns:
        (len(images), dim) int16 lattice.
    """
    return begin_embedding(embedder, images, device)()


def begin_embedding(
    embedder: Embedder, images: Sequence[NDArray[np.uint8]], device: torch.device
) -> Callable[[], NDArray[np.int16]]:
    """Begin to embed pictures of equal size. A GPU works on while others are brought together.

    Args:
        embedder: see above.
        images: (side, side, 3) uint8 RGB each, as its framing makes them.
        device: where to compute.

    Returns:
        What waits for the (len(images), dim) int16 lattice.

    Raises:
        CoreframeError: not one picture fits into the GPU's memory; and, from what is returned, a
            vector is not finite.
    """
    shape = (len(images), *images[0].shape)
    # from pinned memory a GPU fetches by itself, without a copy of the driver's in between
    batch = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.stack(images, out=batch.numpy())
    with torch.inference_mode():
        try:
            vectors = embedder.embed(batch.to(device, non_blocking=True))
        except torch.OutOfMemoryError as error:
            raise _too_little_memory(embedder.fingerprint) from error
        finite = torch.isfinite(vectors).all()
        lattice = quantise(vectors)

    def wait() -> NDArray[np.int16]:
        found = lattice.cpu().numpy()  # the one thing that is waited for
        if not bool(finite):
            raise CoreframeError(
                f"the embedder {embedder.fingerprint} gives vectors that are not finite: its "
                "weights are broken, or its numbers too large for a GPU without bfloat16. Use "
                "--device cpu, or another model."
            )
        return found

    return wait
