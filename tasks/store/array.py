"""What Zarr writes of a store, by its format: the group, which says what made it, and the array."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import zarr
from zarr.codecs import ZstdCodec

from coreframe.tasks.errors import UsageError
from coreframe.tasks.scale import SCALE
from coreframe.tasks.storage.folders import Folder
from coreframe.tasks.store.reading import understandably
from coreframe.tasks.store.seals import BLANK, SEAL_KEY, check_seal, parse_json, sealed, sealed_json
from coreframe.tasks.store.settings import (
    EMBEDDINGS,
    FORMAT_VERSION,
    FRAMES,
    MADE,
    SETTINGS_COPY,
    Place,
    StoreSettings,
)

ARRAY_ATTRIBUTES: dict[str, Any] = {
    "scale_factor": 1 / SCALE,
    "long_name": f"unit vectors times {SCALE}, rounded; rows without a frame are 0",
}
"""As the CF conventions name it: xarray, for one, applies it."""

ARRAY_DOCUMENT = FRAMES.document

CORE_CODECS = ("bytes", "zstd")
CODECS = {1: ("numcodecs.fixedscaleoffset", *CORE_CODECS), 2: CORE_CODECS, 3: CORE_CODECS}
"""Of the array, by the store's format: in 1 a filter from float32 to the lattice's int16; then to
bytes, and the compressor."""


def group_document(settings: StoreSettings) -> bytes:
    """What Zarr writes of the group, with the settings of the store and a seal."""
    return _documents(settings)[0]


def array_document(settings: StoreSettings, rows: int, place: Place = FRAMES) -> bytes:
    """What Zarr writes of an array of so many rows.

    With a seal, but of the frames' array in stores of format 1.
    """
    document = json.loads(_documents(settings, place)[1])
    return _with_rows(document, rows, place)


def _format(settings: StoreSettings, place: Place) -> int:
    """Of an array: that of frames has the store's, others are like those of new stores."""
    return settings.format_version if place == FRAMES else FORMAT_VERSION


def _documents(settings: StoreSettings, place: Place = FRAMES) -> tuple[bytes, bytes]:
    name = place.array.removeprefix(f"{EMBEDDINGS}/")
    memory: dict[str, Any] = {}
    group = zarr.open_group(zarr.storage.MemoryStore(memory), path=EMBEDDINGS, mode="w")
    common: dict[str, Any] = dict(
        shape=(0, settings.dim),
        chunks=(settings.block_rows, settings.dim),
        compressors=[ZstdCodec(level=3)],
    )
    if _format(settings, place) == 1:
        from zarr.codecs.numcodecs import FixedScaleOffset

        with quiet_codec():
            filters = [FixedScaleOffset(offset=0, scale=SCALE, dtype="f4", astype="i2")]
            group.create_array(name, dtype="float32", fill_value=0.0, filters=filters, **common)
        attributes: dict[str, Any] = {}
    else:
        attributes = {SEAL_KEY: BLANK}
        own = ARRAY_ATTRIBUTES | attributes
        group.create_array(
            name, dtype="int16", fill_value=0, filters=None, attributes=own, **common
        )
    group.attrs.update({"coreframe": settings.written()} | attributes)
    made, array = memory[MADE].to_bytes(), memory[place.document].to_bytes()
    return (sealed(MADE, made) if attributes else made), array


def _with_rows(document: dict[str, Any], rows: int, place: Place) -> bytes:
    document["shape"] = [rows, document["shape"][1]]
    if SEAL_KEY not in document["attributes"]:  # of a store that was made before there were seals
        return json.dumps(document, indent=2).encode()
    document["attributes"][SEAL_KEY] = BLANK
    return sealed(place.document, json.dumps(document, indent=2).encode())


def read_array_document(
    folder: Folder, settings: StoreSettings, place: Place = FRAMES
) -> dict[str, Any]:
    """What is written of an array, looked at.

    Raises:
        CoreframeError: it is missing or damaged, or is not as Coreframe writes it.
    """
    name = place.document
    with understandably(folder.name, name):
        data = folder.read(name)
        check_seal(name, data)
        document: dict[str, Any] = json.loads(data)
        chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
        codecs = tuple(codec["name"] for codec in document["codecs"])
        ours = [settings.block_rows, settings.dim], CODECS[_format(settings, place)]
        if (chunk, codecs) != ours:
            raise ValueError(f"chunks of {chunk} by {codecs}, where ingest makes {ours}")
        rows, dim = document["shape"]
        if not isinstance(rows, int) or rows < 0 or dim != settings.dim:
            raise ValueError(f"an array of {rows} x {dim}")
    return document


def write_rows(folder: Folder, settings: StoreSettings, rows: int, place: Place = FRAMES) -> None:
    """Let an array have so many rows."""
    document = read_array_document(folder, settings, place)
    folder.write(place.document, _with_rows(document, rows, place))


def read_settings(folder: Folder, newest: int = FORMAT_VERSION) -> dict[str, Any]:
    """What made a store, as it is written in the group's attributes.

    Args:
        folder: the store's.
        newest: format that is understood.

    Raises:
        FileNotFoundError: nothing is written there.
        ValueError: it is not what was written.
        UsageError: the store is of a newer format.
    """
    data = folder.read(MADE)
    version = 0
    with suppress(ValueError, LookupError, TypeError):
        version = int(json.loads(data)["attributes"]["coreframe"]["format_version"])
    if version > newest:  # which may seal in another way
        raise UsageError(
            f"the store {folder.name} has format {version}, and this version of Coreframe reads "
            f"formats up to {newest}: install a newer one."
        )
    sealed_here = check_seal(MADE, data)
    written: dict[str, Any] = json.loads(data)["attributes"]["coreframe"]
    if not sealed_here and folder.exists(SETTINGS_COPY):  # it was made before there were seals
        copy = read_settings_copy(folder)
        if copy != written:
            raise ValueError(f"it says {written}, and {SETTINGS_COPY} says {copy}")
    return written


def read_settings_copy(folder: Folder) -> dict[str, Any]:
    """The same as it is written a second time."""
    return parse_json(SETTINGS_COPY, folder.read(SETTINGS_COPY))


def write_settings_copy(folder: Folder, settings: StoreSettings) -> None:
    """Write it a second time."""
    folder.write(SETTINGS_COPY, sealed_json(SETTINGS_COPY, settings.written()))


@contextmanager
def quiet_codec() -> Iterator[None]:
    """Silence the warning that this codec is not in the v3 specification; zarr reads it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield
