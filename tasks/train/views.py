"""Random views of pictures: crop, mirror, colours, blur. Tensors in, tensors out, on any device.

Which view each picture gets is drawn on the CPU, from the generator given, so that it does not
depend on the device.
"""

import math

import torch
from torch.nn.functional import affine_grid, conv2d, grid_sample

from coreframe.tasks.train.settings import AUGMENTATION, Augmentation

# From red, green, blue to one light and two colour axes (YIQ), around which hue turns.
_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)
_FROM_YIQ = torch.linalg.inv(_TO_YIQ.double()).float()


def random_views(
    images: torch.Tensor, generator: torch.Generator, augmentation: Augmentation = AUGMENTATION
) -> torch.Tensor:
    """Draw one view of each picture.

    Args:
        images: (n, side, side, 3) uint8 RGB, on any device.
        generator: of the CPU.
        augmentation: how much views differ from their pictures.

    Returns:
        (n, 3, side, side) float32 from -1 to 1, on the same device.
    """
    pixels = images.permute(0, 3, 1, 2).float() / 255
    pixels = _crop_and_mirror(pixels, generator, augmentation)
    pixels = _recolour(pixels, generator, augmentation).clamp_(0, 1)
    return _blur(pixels, generator, augmentation) * 2 - 1


def _uniform(
    low: float, high: float, shape: tuple[int, ...], generator: torch.Generator
) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _crop_and_mirror(
    pixels: torch.Tensor, generator: torch.Generator, augmentation: Augmentation
) -> torch.Tensor:
    count = len(pixels)
    area = _uniform(*augmentation.area, (count,), generator)
    narrowest, widest = map(math.log, augmentation.aspect)
    aspect = torch.exp(_uniform(narrowest, widest, (count,), generator))
    width = torch.sqrt(area * aspect).clamp(max=1)
    height = torch.sqrt(area / aspect).clamp(max=1)
    across = _uniform(-1, 1, (count,), generator) * (1 - width)
    down = _uniform(-1, 1, (count,), generator) * (1 - height)
    mirrored = 1 - 2 * (torch.rand(count, generator=generator) < 0.5).float()
    nothing = torch.zeros(count)
    places = torch.stack((width * mirrored, nothing, across, nothing, height, down), 1)
    grid = affine_grid(
        places.reshape(count, 2, 3).to(pixels.device), list(pixels.shape), align_corners=False
    )
    return grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _recolour(
    pixels: torch.Tensor, generator: torch.Generator, augmentation: Augmentation
) -> torch.Tensor:
    """Brightness, contrast, saturation and hue together are one affine map of a pixel."""
    count = len(pixels)
    factors = [
        _uniform(1 - most, 1 + most, (count, 1, 1), generator)
        for most in (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    ]
    hue_turns = augmentation.hue_turns
    angle = 2 * math.pi * _uniform(-hue_turns, hue_turns, (count,), generator)
    left_alone = torch.rand(count, generator=generator) >= augmentation.recoloured
    brightness, contrast, saturation = (
        factor.masked_fill(left_alone[:, None, None], 1) for factor in factors
    )
    angle = angle.masked_fill(left_alone, 0)
    cosine, sine, nothing = torch.cos(angle), torch.sin(angle), torch.zeros(count)
    turn = torch.stack(
        (nothing + 1, nothing, nothing, nothing, cosine, -sine, nothing, sine, cosine), 1
    ).reshape(count, 3, 3)
    turn[:, 1:] *= saturation
    matrix = (brightness * contrast) * (_FROM_YIQ @ turn @ _TO_YIQ)
    light = _TO_YIQ[0].to(pixels.device)
    grey = torch.einsum("nchw,c->n", pixels, light) / pixels[0, 0].numel()
    offset = (brightness * (1 - contrast)).to(pixels.device) * grey[:, None, None]
    coloured = torch.einsum("ndc,nchw->ndhw", matrix.to(pixels.device), pixels)
    return coloured + offset[..., None]


def _blur(
    pixels: torch.Tensor, generator: torch.Generator, augmentation: Augmentation
) -> torch.Tensor:
    count, channels, side, _ = pixels.shape
    scale = side / 64
    sigma = _uniform(*augmentation.blur_sigma_px, (count, 1), generator) * scale
    left_alone = torch.rand(count, 1, generator=generator) >= augmentation.blurred
    sigma = sigma.masked_fill(left_alone, 1e-3)
    _, most = augmentation.blur_sigma_px
    reach = math.ceil(2 * most * scale)
    steps = torch.arange(-reach, reach + 1)
    kernel = torch.softmax(-(steps**2) / (2 * sigma**2), 1).to(pixels.device)
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    flat = pixels.reshape(1, count * channels, side, side)
    padded = torch.nn.functional.pad(flat, [reach] * 4, mode="replicate")
    across = conv2d(padded, kernel[:, :, None, :], groups=count * channels)
    down = conv2d(across, kernel[:, :, :, None], groups=count * channels)
    return down.reshape(pixels.shape)
