"""Seals: by which a file that is read is known to be what was written under its name.

A seal is a hash of a file's own bytes and of its name in the store, so a file that was changed, cut
or put in another's place is told from a sound one. It lies in the file, where its kind has room for
a text: in the metadata of a Parquet table, in a key of a JSON document. Files of versions that knew
no seals have none, and are taken as they are.

A seal says nothing of a whole file of another night. What keeps such a file out is said where each
kind of file is read.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

MARK = b"coreframe-xxh3:"

_DIGITS = 32

BLANK = MARK.decode() + "0" * _DIGITS
"""Stands in a file for its seal until :func:`sealed`."""

SEAL_KEY = "coreframe_seal"
"""Under which a table's metadata and a document have it."""


class SealError(ValueError):
    """A file is not what was written under its name."""

    def __init__(self) -> None:
        super().__init__("it is not what was written there")


def sealed(name: str, data: bytes) -> bytes:
    """Put the seal in its place.

    Args:
        name: the file's in the store.
        data: with :data:`BLANK` in it; of several, the last is the place.
    """
    start = data.rindex(BLANK.encode()) + len(MARK)
    return data[:start] + _hash(name, data, start) + data[start + _DIGITS :]


def check_seal(name: str, data: bytes) -> str:
    """Look whether a file is as it was sealed under its name.

    Returns:
        The seal; empty where there is none.

    Raises:
        SealError: it is another file, or was changed.
    """
    place = data.rfind(MARK)
    if place < 0:
        return ""
    start = place + len(MARK)
    found = data[start : start + _DIGITS]
    if found != _hash(name, data, start):
        raise SealError
    return found.decode()


def _hash(name: str, data: bytes, start: int) -> bytes:
    """Of the name and all bytes but those of the seal itself, as 32 hexadecimal digits."""
    view, own = memoryview(data), xxhash.xxh3_128(name.encode())
    for part in (b"\0", view[:start], view[start + _DIGITS :]):
        own.update(part)
    return own.hexdigest().encode()


def sealed_json(name: str, document: Mapping[str, Any]) -> bytes:
    """A JSON document with its seal as the last key."""
    text = json.dumps({**document, SEAL_KEY: BLANK}, indent=2)
    return sealed(name, f"{text}\n".encode())


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """Undo :func:`sealed_json`.

    Raises:
        ValueError: it is no JSON object, or not the one that was sealed.
    """
    check_seal(name, data)
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it holds no JSON object")
    document.pop(SEAL_KEY, None)
    return document


def sealed_table(name: str, table: pa.Table, *, use_dictionary: bool = True) -> bytes:
    """A table as a Parquet file with its seal in the metadata."""
    sink = pa.BufferOutputStream()
    options = {"compression": "zstd", "use_dictionary": use_dictionary}
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SEAL_KEY: BLANK})
    return sealed(name, sink.getvalue().to_pybytes())


def open_table(name: str, data: bytes) -> pq.ParquetFile:
    """A Parquet file that is in memory, its seal looked at.

    Raises:
        SealError: it is not what was sealed.
        pa.ArrowException: it is no Parquet file.
    """
    check_seal(name, data)
    return pq.ParquetFile(pa.BufferReader(data))
