"""What made a store, and the names of its parts.

The rule for stores of other versions:

- A store opens and extends in every later version. It keeps the settings and the format that it
  was made with, whatever a new store would get.
- What a run is not told (embedder, sampling, crop, input size, rows a block) is the store's. Only
  another value that is named explicitly is refused, since a store never mixes two.
- A new setting is a new field of `StoreSettings`. Its default is what every store before it had,
  and it raises FORMAT_VERSION. So does any change after which an older version would read a store
  wrongly. What is new about an embedder gets a name or a fingerprint of its own.
- A store of a newer format than the code knows is refused in a sentence.
"""

from dataclasses import dataclass

FORMAT_VERSION = 1
"""Of the stores that this version makes; it reads those up to it."""

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
