"""What made a store, and the names of its parts."""

from dataclasses import dataclass

FORMAT_VERSION = 1
EMBEDDINGS, CATALOGUE = "embeddings.zarr", "catalogue.parquet"
EARLIER_CATALOGUE = "catalogue-earlier.parquet"
ARRAY = f"{EMBEDDINGS}/embedding"
MADE = f"{EMBEDDINGS}/zarr.json"
"""The group's metadata, with what made the store: with it there is a store."""


@dataclass(frozen=True)
class StoreSettings:
    """What made a store. A store never mixes two of these."""

    embedder: str
    fingerprint: str
    """Of the embedder's function and weights."""
    dim: int
    input_px: int
    sampling: str
    crop: str
    """``W:H:X:Y`` or empty."""
    block_rows: int = 1024
    format_version: int = FORMAT_VERSION
