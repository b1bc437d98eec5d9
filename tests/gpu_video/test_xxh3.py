"""XXH3 in integer torch: the package's own hashes."""

import numpy as np
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coreframe.tasks.gpu_video.xxh3 import piece_hashes
from coreframe.tasks.video.digest import PIECE_BYTES

PIECES = st.integers(1, 3).flatmap(
    lambda count: arrays.arrays(
        np.uint8, (count, PIECE_BYTES), elements=st.integers(0, 255), fill=st.integers(0, 255)
    )
)


@given(PIECES)
def test_pieces_have_the_hashes_of_the_package(pieces: np.ndarray) -> None:
    words = torch.from_numpy(pieces).view(torch.int64)
    found = piece_hashes(words).numpy().view(np.uint64).tolist()
    assert found == [xxhash.xxh3_64_intdigest(piece.tobytes()) for piece in pieces]


def test_so_have_those_of_noise() -> None:
    pieces = np.random.default_rng(0).integers(0, 256, (50, PIECE_BYTES)).astype(np.uint8)
    found = piece_hashes(torch.from_numpy(pieces).view(torch.int64)).numpy().view(np.uint64)
    assert found.tolist() == [xxhash.xxh3_64_intdigest(piece.tobytes()) for piece in pieces]
