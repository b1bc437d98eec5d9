"""XXH3 of many pieces of bytes at once, in integer torch: the same 64 bits as the `xxhash` package.

After the specification of Yann Collet, "xxHash fast digest algorithm", version 0.2.0, for inputs of
more than 240 bytes. Within a block of 1024 bytes its eight sums may be formed in any order, so a
device forms those of all blocks of all pieces together; only what joins the blocks of a piece comes
one after the other. int64 wraps around as the uint64 of the specification does; where they differ,
in shifts to the right and in products of 128 bits, bits are masked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lazy import torch
from coreframe.tasks.video.digest import PIECE_BYTES

SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
"""The specification's default secret."""

PRIME32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
PRIME64 = (
    *(0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9),
    *(0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5),
)
PRIME_MX1 = 0x165667919E3779F9

LANES = 8
STRIPES = 16
"""Of 64 bytes, a block."""
BLOCKS = PIECE_BYTES // 1024
LOW = 0xFFFFFFFF

SCRAMBLE_AT, LAST_STRIPE_AT, MERGE_AT = 128, 121, 11
"""Bytes into the secret, of one that has 192."""


def piece_hashes(pieces: torch.Tensor) -> torch.Tensor:
    """XXH3 (64 bits, seed 0) of each piece.

    Args:
        pieces: (n, PIECE_BYTES // 8) int64, the bytes of the pieces as little-endian integers.

    Returns:
        (n,) int64, the same bits as an unsigned hash.
    """
    keys, start, scramble, merge = _tables(pieces.device)
    data = pieces.view(-1, BLOCKS, STRIPES, LANES)
    mixed = data ^ keys
    mixed = (mixed & LOW) * _shifted(mixed, 32)
    mixed += data.view(-1, BLOCKS, STRIPES, LANES // 2, 2).flip(-1).view_as(data)
    sums = mixed.sum(dim=2)
    state = start + sums[:, 0]
    for block in range(1, BLOCKS):
        state = (state ^ _shifted(state, 47) ^ scramble) * PRIME32[0] + sums[:, block]
    left, right = (state ^ merge).view(-1, LANES // 2, 2).unbind(-1)
    joined = _folded(left, right).sum(dim=1) + _signed(PIECE_BYTES * PRIME64[0])
    joined = (joined ^ _shifted(joined, 37)) * _signed(PRIME_MX1)
    return joined ^ _shifted(joined, 32)


def _shifted(values: torch.Tensor, bits: int) -> torch.Tensor:
    """The bits of int64 values moved to the right, zeros from the left."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _folded(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The lower half of the unsigned 128 bit products, exclusive-or the upper half."""
    low_left, high_left = left & LOW, _shifted(left, 32)
    low_right, high_right = right & LOW, _shifted(right, 32)
    lowest, crossed = low_left * low_right, high_left * low_right
    carried = _shifted(lowest, 32) + (crossed & LOW) + low_left * high_right
    upper = _shifted(crossed, 32) + _shifted(carried, 32) + high_left * high_right
    return (left * right) ^ upper


def _signed(value: int) -> int:
    """The int64 of the same 64 bits."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[torch.Tensor, ...]:
    """What the data is mixed with, the first state, and what it is scrambled and merged with."""

    def words(begin: int, count: int = LANES) -> NDArray[np.int64]:
        return np.frombuffer(SECRET, "<i8", count, offset=begin).astype(np.int64)

    keys = np.stack([words(8 * stripe) for stripe in range(STRIPES)])
    keys = np.repeat(keys[None], BLOCKS, axis=0)
    keys[-1, -1] = words(LAST_STRIPE_AT)  # the last 64 bytes come after the others
    first, second, third = PRIME32
    start = [third, *PRIME64[:4], second, PRIME64[4], first]
    state = np.array([_signed(one) for one in start], np.int64)
    tables = keys, state, words(SCRAMBLE_AT), words(MERGE_AT)
    return tuple(torch.from_numpy(one).to(device) for one in tables)
