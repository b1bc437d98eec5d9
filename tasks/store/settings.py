"""What made a store, and the names of its parts.

The rule for stores of other versions of Coreframe:

- A store of format 1 or later opens and extends in every later version. It keeps the settings and
  the format it was made with, whatever a new store would get.
- Options that are not given are the store's: embedder, input size, sampling, rows a block, and
  how its videos are viewed.
  Only another value that is given is refused, since a store never mixes two. So an option that is
  a setting has the default None, and `coreframe.flows.preflight.follow_store` fills it in.
- A new setting is a new field of `StoreSettings`. Its default is what every store before it had;
  a new store is given its own value. It raises FORMAT_VERSION, and so does any change after which
  an earlier version would read a store wrongly.
- The name of an embedder means the same function for ever. A better one gets a name of its own,
  and may become what new stores get.
- A store of a newer format than the code knows is refused in a sentence.
"""

from dataclasses import asdict, dataclass
from typing import Any

from coreframe.tasks.video.viewing import Crop, Viewing

FORMAT_VERSION = 3
"""Of the stores that this version makes; it reads those up to it.

1: the array of embeddings is float32 by a filter that lies outside the Zarr specification.
2: it is int16 with core codecs, and its attributes hold the scale. Viewing is a setting.
3: the version of the frames' digests is a setting.
"""

EMBEDDINGS, CATALOGUE = "embeddings.zarr", "catalogue.parquet"
CATALOGUE_COPY, CATALOGUE_SEAL = "catalogue-copy.parquet", "catalogue-seal.json"
EARLIER_CATALOGUE = "catalogue-earlier.parquet"
"""Which earlier versions kept beside it."""
ARRAY = f"{EMBEDDINGS}/embedding"
MADE = f"{EMBEDDINGS}/zarr.json"
"""The group's metadata, with what made the store: with it there is a store."""
SETTINGS_COPY = "settings.json"
"""The same once more, to mend the other from."""


@dataclass(frozen=True)
class Place:
    """Where rows of one kind lie in a store: an array of their vectors, a table for each block."""

    array: str
    tables: str
    """A folder."""

    def table(self, block: int) -> str:
        """The file that holds a block's table."""
        return f"{self.tables}/block-{block:08d}.parquet"

    def chunk(self, block: int) -> str:
        """The file that holds a block's vectors."""
        return f"{self.array}/c/{block}/0"

    @property
    def document(self) -> str:
        """The file that says what the array is."""
        return f"{self.array}/zarr.json"


FRAMES = Place(ARRAY, "frames")
OBJECTS = Place(f"{EMBEDDINGS}/objects", "objects")
"""Of pictures inside frames; see `coreframe.tasks.store.objects`."""

RUNS = "runs"
"""Folder with a record of every run that wrote to the store, in the order of their names."""


SETTINGS_OF_FORMAT_1 = (
    "embedder fingerprint dim input_px sampling crop block_rows format_version".split()  # noqa: SIM905
)


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
    pixels: str = "stored"
    """``square`` or ``stored``: the shape that pictures have."""
    tone_map: str = "off"
    """``on`` or ``off``, as is the next."""
    deinterlace: str = "off"
    stream: str = "best"
    """Which of a file's films; see `coreframe.tasks.video.container`."""
    digest: int = 1
    """Version of the digests of its frames; see `coreframe.tasks.video.digest`."""

    def written(self) -> dict[str, Any]:
        """As it stands in a store: in one of format 1, without what the version of then refuses."""
        values = asdict(self)
        if self.format_version == 1:
            values = {name: values[name] for name in SETTINGS_OF_FORMAT_1}
        if self.format_version == 2:
            del values["digest"]
        return values

    @property
    def viewing(self) -> Viewing:
        """What its frames' pictures are."""
        return Viewing(
            crop=Crop.parse(self.crop) if self.crop else None,
            square_pixels=self.pixels == "square",
            tone_map=self.tone_map == "on",
            deinterlace=self.deinterlace == "on",
            stream=self.stream,
            as_players=self.format_version > 1,
            digest=self.digest,
        )
