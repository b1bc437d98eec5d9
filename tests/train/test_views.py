"""Tests of the random views: what they keep, and that a seed determines them."""

import pytest
import torch

from coreframe.tasks.train import views
from coreframe.tasks.train.settings import AUGMENTATION, Augmentation
from coreframe.tasks.train.views import random_views
from tests.videos import scenes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, side_px: int = 64) -> torch.Tensor:
    images = [torch.from_numpy(scenes(10 * n, side_px, side_px)) for n in range(count)]
    return torch.stack(images)


@pytest.mark.parametrize("side_px", [32, 64, 100])
def test_views_are_pixels_of_the_same_size(side_px: int) -> None:
    made = random_views(pictures(side_px=side_px), generator())
    assert made.shape == (8, 3, side_px, side_px)
    assert made.dtype == torch.float32
    assert -1 <= made.min() < -0.5
    assert 0.5 < made.max() <= 1.001


def test_a_seed_determines_them() -> None:
    images = pictures()
    one = random_views(images, generator(3))
    assert torch.equal(one, random_views(images, generator(3)))
    assert not torch.equal(one, random_views(images, generator(4)))
    both = random_views(torch.cat((images, images)), generator(3))
    assert not torch.allclose(both[:8], both[8:], atol=0.1)


def test_nothing_random_left_is_the_picture_or_its_mirror() -> None:
    whole = Augmentation(area=(1.0, 1.0), aspect=(1.0, 1.0), recoloured=0.0, blurred=0.0)
    images = pictures(32)
    plain = images.permute(0, 3, 1, 2) / 127.5 - 1
    made = random_views(images, generator(), whole)
    kept = ((made - plain).abs().amax((1, 2, 3))) < 1e-4
    mirrored = ((made - plain.flip(3)).abs().amax((1, 2, 3))) < 1e-4
    assert (kept ^ mirrored).all()
    assert 8 < kept.sum() < 24


def test_a_view_shows_a_part_of_the_picture() -> None:
    """Of a ramp from left to right and one from top to bottom, the view's corners tell where."""
    cropped = Augmentation(recoloured=0.0, blurred=0.0)
    ramp = torch.arange(64, dtype=torch.uint8).expand(64, 64)
    images = torch.stack((ramp, ramp.T, ramp), 2).expand(500, 64, 64, 3).contiguous()
    shown = (random_views(images, generator(), cropped) + 1) * 127.5
    across = (shown[:, 0, 32, -1] - shown[:, 0, 32, 0]) / 63
    down = (shown[:, 1, -1, 32] - shown[:, 1, 0, 32]) / 63
    area = across.abs() * down
    assert (down > 0).all()
    assert 0.4 < (across > 0).float().mean() < 0.6
    assert AUGMENTATION.area[0] - 0.03 < area.min() < 0.4
    assert 0.8 < area.max() <= AUGMENTATION.area[1] + 0.01
    aspect = across.abs() / down
    assert 0.7 < aspect.min() < 0.85
    assert 1.18 < aspect.max() < 1.4


def test_colours_change_and_grey_stays_grey() -> None:
    colours = torch.tensor([[200, 40, 40], [128, 128, 128]], dtype=torch.uint8)
    images = colours[:, None, None].expand(2, 64, 64, 3).repeat(100, 1, 1, 1)
    made = random_views(images, generator())
    red, grey = made[::2], made[1::2]
    assert (grey.amax(1) - grey.amin(1)).max() < 1e-3
    assert grey[:, 0, 0, 0].std() > 0.1
    assert (red[:, 0] - red[:, 1]).mean() > 0.5
    assert (red[:, 0] - red[:, 1])[:, 0, 0].std() > 0.1


def test_blur_keeps_the_mean_and_lowers_contrast() -> None:
    noise = torch.randint(0, 256, (16, 64, 64, 3), dtype=torch.uint8, generator=generator())
    pixels = noise.permute(0, 3, 1, 2).float()
    strong = Augmentation(blurred=1.0, blur_sigma_px=(1.0, 2.0))
    blurred = views._blur(pixels, generator(), strong)
    assert (blurred.mean((2, 3)) - pixels.mean((2, 3))).abs().max() < 3
    assert (blurred.std((2, 3)) < 0.4 * pixels.std((2, 3))).all()
