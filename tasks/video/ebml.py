"""The elements of EBML (RFC 8794), of which Matroska is made."""

from collections.abc import Iterator


def _number(data: bytes, place: int, *, marked: bool) -> tuple[int, int]:
    """An EBML number, with or without the mark of its length, and where it ends."""
    length = 9 - data[place].bit_length()
    if length > 8:
        raise ValueError("no EBML number")
    value = int.from_bytes(data[place : place + length], "big")
    return (value if marked else value & ((1 << 7 * length) - 1)), place + length


def elements(data: bytes, place: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """EBML elements: number, and where the content begins and ends."""
    while place < min(stop, len(data)):
        element, place = _number(data, place, marked=True)
        start = place
        size, place = _number(data, place, marked=False)
        unknown = size == (1 << 7 * (place - start)) - 1
        end = stop if unknown else min(stop, place + size)
        yield element, place, end
        place = end
