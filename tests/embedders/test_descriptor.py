"""Tests of `descriptor`: the same bits in any batch, unit length, sane plain frames, distances."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from coreframe.tasks.embedders.descriptor import DEFAULT_INPUT_PX, DIM, describe

PX = DEFAULT_INPUT_PX


@pytest.fixture
def threads() -> Iterator[None]:
    """Put torch's thread count back after a test that changes it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def scene(seed: int, px: int = PX) -> torch.Tensor:
    """uint8 (1, px, px, 3): a picture of big soft blobs and a few edges, one per seed."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 6, 6, generator=generator)
    picture = torch.nn.functional.interpolate(small, (px, px), mode="bicubic") * 255
    left, top = torch.randint(0, px // 2, (2,), generator=generator).tolist()
    picture[:, :, top : top + px // 3, left : left + px // 3] = 255 * torch.rand(
        1, 3, 1, 1, generator=generator
    )
    return picture.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def plain(red: int, green: int, blue: int) -> torch.Tensor:
    """uint8 (1, PX, PX, 3) of one colour."""
    return torch.tensor([red, green, blue], dtype=torch.uint8).expand(1, PX, PX, 3)


def far(first: torch.Tensor, second: torch.Tensor) -> float:
    """Distance of the vectors of two frames."""
    return float((describe(first) - describe(second)).norm())


@pytest.mark.parametrize("px", [32, 64, 96, 128])
def test_shape_dtype_and_unit_length(px: int) -> None:
    vectors = describe(torch.cat([scene(seed, px) for seed in range(5)]))
    assert vectors.shape == (5, DIM)
    assert vectors.dtype == torch.float64
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5, dtype=torch.float64), atol=1e-6)


@pytest.mark.usefixtures("threads")
def test_same_bits_in_any_batch_and_thread_count() -> None:
    noise = torch.randint(
        0, 256, (32, PX, PX, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    )
    images = torch.cat([noise, *(scene(seed) for seed in range(32))])
    torch.set_num_threads(1)
    whole = describe(images)
    for count in (1, 2):
        torch.set_num_threads(count)
        for batch in (1, 7, 64):
            starts = range(0, len(images), batch)
            parts = torch.cat([describe(images[start : start + batch]) for start in starts])
            assert torch.equal(parts, whole), (count, batch)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_bits_on_cuda() -> None:
    images = torch.cat([scene(seed) for seed in range(40)])
    assert torch.equal(describe(images.cuda()).cpu(), describe(images))


def test_memory_layout_does_not_matter() -> None:
    images = torch.cat([scene(seed) for seed in range(3)])
    strided = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(describe(strided), describe(images))


def test_empty_batch() -> None:
    assert describe(torch.zeros(0, PX, PX, 3, dtype=torch.uint8)).shape == (0, DIM)


def test_plain_frames_are_finite_unit_and_apart_by_colour() -> None:
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30), (30, 30, 200)]
    frames = torch.cat([plain(*colour) for colour in colours])
    vectors = describe(frames)
    assert torch.isfinite(vectors).all()
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5, dtype=torch.float64), atol=1e-6)
    apart = torch.cdist(vectors, vectors) + 10 * torch.eye(5, dtype=torch.float64)
    assert apart.min() > 0.5
    assert torch.equal(describe(plain(9, 9, 9)), describe(plain(9, 9, 9)))


@pytest.mark.parametrize("level", [0, 6, 128])
def test_noise_on_a_plain_frame_stays_near_it(level: int) -> None:
    noise = torch.randint(-3, 4, (8, PX, PX, 3), generator=torch.Generator().manual_seed(1))
    noisy = (plain(level, level, level).int() + noise).clamp(0, 255).to(torch.uint8)
    vectors = describe(noisy)
    # Two noisy black frames must not look like two scenes, as unit-length noise gradients would.
    assert torch.cdist(vectors, vectors).max() < 0.2
    assert (vectors - describe(plain(level, level, level))).norm(dim=1).max() < 0.45


def test_scenes_are_far_and_their_noise_flicker_and_shift_near() -> None:
    scenes = [scene(seed) for seed in range(8)]
    between = min(far(a, b) for i, a in enumerate(scenes) for b in scenes[:i])
    generator = torch.Generator().manual_seed(2)
    for one in scenes:
        noise = torch.randint(-6, 7, one.shape, generator=generator)
        assert far(one, (one.int() + noise).clamp(0, 255).to(torch.uint8)) < between / 3
        assert far(one, (one.double() * 0.97).to(torch.uint8)) < between / 3
        assert far(one, one.roll(1, 2)) < between / 3


def test_input_size_hardly_matters() -> None:
    large = scene(3, 128)
    small = large.reshape(1, 64, 2, 64, 2, 3).float().mean((2, 4)).round().to(torch.uint8)
    assert math.isclose(float((describe(large) - describe(small)).norm()), 0.0, abs_tol=0.05)


def test_direction_of_an_edge_is_seen() -> None:
    ramp = torch.linspace(0, 255, PX).to(torch.uint8)
    across = ramp[None, None, :, None].expand(1, PX, PX, 3)
    distances = [far(across, across.flip(2)), far(across, across.transpose(1, 2))]
    assert min(distances) > 0.5


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.zeros(1, 64, 64, 3), r"torch\.float32 \(1, 64, 64, 3\)"),
        (torch.zeros(64, 64, 3, dtype=torch.uint8), r"\(64, 64, 3\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"\(1, 3, 64, 64\)"),
        (torch.zeros(1, 64, 96, 3, dtype=torch.uint8), r"\(1, 64, 96, 3\)"),
        (torch.zeros(1, 100, 100, 3, dtype=torch.uint8), r"\(1, 100, 100, 3\)"),
        (torch.zeros(1, 0, 0, 3, dtype=torch.uint8), r"\(1, 0, 0, 3\)"),
    ],
)
def test_rejects_other_shapes_and_dtypes(images: torch.Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected .*, got .*{found}$"):
        describe(images)
