"""The Zarr array of embeddings: what Zarr writes of it, by the format of the store."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import zarr
from zarr.codecs import ZstdCodec

from coreframe.tasks.scale import SCALE
from coreframe.tasks.store.settings import ARRAY, EMBEDDINGS, MADE, StoreSettings

ARRAY_ATTRIBUTES: dict[str, Any] = {
    "scale_factor": 1 / SCALE,
    "long_name": f"unit vectors times {SCALE}, rounded; rows without a frame are 0",
}
"""As the CF conventions name it: xarray, for one, applies it."""


def metadata(settings: StoreSettings) -> tuple[bytes, bytes]:
    """What Zarr writes of a group with an array without rows: of the group, and of the array."""
    memory: dict[str, Any] = {}
    group = zarr.open_group(zarr.storage.MemoryStore(memory), path=EMBEDDINGS, mode="w")
    group.create_array(
        "embedding",
        shape=(0, settings.dim),
        chunks=(settings.block_rows, settings.dim),
        dtype="int16",
        fill_value=0,
        filters=None,
        compressors=[ZstdCodec(level=3)],
        attributes=ARRAY_ATTRIBUTES,
    )
    group.attrs["coreframe"] = asdict(settings)
    return memory[MADE].to_bytes(), memory[f"{ARRAY}/zarr.json"].to_bytes()


@contextmanager
def quiet_codec() -> Iterator[None]:
    """Silence the warning that this codec is not in the v3 specification; zarr reads it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield
