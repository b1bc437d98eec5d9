"""How a Hugging Face model's pictures are prepared, as the files beside its weights say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from coreframe.tasks.embedders.quiet import quiet
from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.pixels import Framing, Resampling

PROCESSOR, WHOLE_PROCESSOR = "preprocessor_config.json", "processor_config.json"
"""Where an image processor's settings are; in the second, among those of a text tokenizer."""

RESAMPLING: dict[int, Resampling] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "area",
}
"""Pillow's numbers, which the settings use."""

DINOV3_DEFAULTS = {
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "rescale_factor": 1 / 255,
    "image_mean": (0.485, 0.456, 0.406),
    "image_std": (0.229, 0.224, 0.225),
}
"""Of the one image processor here that cannot be made without torchvision."""

CONVNEXT_CROP, CONVNEXT_WHOLE_PX = 224 / 256, 384
"""What ConvNeXt's processor keeps of a picture, and from which size on it keeps all."""


@dataclass(frozen=True)
class Preparation:
    """From a frame to what the network is given."""

    framing: Framing
    scale: float
    """By which uint8 values are multiplied; then `mean` is taken off, and `std` divides."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def read(cls, place: str, folder: Path) -> "Preparation":
        """Read what a model's image processor would do.

        Args:
            place: the model, as people name it.
            folder: its files.

        Raises:
            UsageError: the settings are missing or make no square pictures.
        """
        settings = _settings(place, folder)
        try:
            scale, mean, std = 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
            if settings.get("do_rescale", True):
                scale = float(settings["rescale_factor"])
            if settings.get("do_normalize", True):
                mean, std = _three(settings["image_mean"]), _three(settings["image_std"])
            return cls(_framing(settings), scale, mean, std)
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(
                f"{place}: the settings of its image processor cannot be used ({reason}). Use "
                "another model, or mend its preprocessor_config.json."
            ) from error

    def with_side(self, side_px: int) -> "Preparation":
        """Prepare pictures of another size, with the same share of the frame in them."""
        own = self.framing
        scaled = {
            name: round(length * side_px / own.side_px)
            for name in ("shorter_px", "squashed_px")
            if (length := getattr(own, name)) is not None
        }
        return replace(self, framing=replace(own, side_px=side_px, **scaled))


class Normaliser:
    """Scales the pixels of pictures on a device, takes the mean off, and divides by the deviation.

    On a GPU in one step. On the CPU in three, as ever: one step rounds otherwise, and vectors would
    be other ones in their last bits.
    """

    def __init__(self, preparation: Preparation, device: torch.device) -> None:
        self._scale = preparation.scale
        mean, std = (
            torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1)
            for values in (preparation.mean, preparation.std)
        )
        self._mean, self._std, self._factor, self._offset = (
            values.to(device, torch.float32)
            for values in (mean, std, self._scale / std, -mean / std)
        )
        self._at_once = device.type == "cuda"

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(n, side, side, 3) uint8 to (n, 3, side, side) float32."""
        # Pixels lie as the decoder wrote them: channels last, seen with the channels second.
        pixels = images.permute(0, 3, 1, 2).float()
        if self._at_once:
            return torch.addcmul(self._offset, pixels, self._factor)
        return (pixels * self._scale - self._mean) / self._std


def _framing(settings: Mapping[str, Any]) -> Framing:
    number = settings.get("resample", 2)
    if number not in RESAMPLING:
        raise ValueError(f"it resamples by {number}")
    resampling = RESAMPLING[number]
    size = settings["size"]
    shorter = size.get("shortest_edge")
    if str(settings.get("image_processor_type")).startswith("ConvNext"):
        if shorter >= CONVNEXT_WHOLE_PX:
            return Framing(shorter, resampling=resampling)
        whole = int(shorter / (settings.get("crop_pct") or CONVNEXT_CROP))
        return Framing(shorter, shorter_px=whole, resampling=resampling)
    whole = int(shorter or _square(size))
    squashed = None if shorter else whole
    side = _square(settings["crop_size"]) if settings.get("do_center_crop") else whole
    if side > whole:
        raise ValueError(f"it crops to {side} px, out of {whole}")
    return Framing(side, shorter_px=shorter, squashed_px=squashed, resampling=resampling)


def _square(size: Mapping[str, Any]) -> int:
    if size.get("height") is None or size["height"] != size.get("width"):
        raise ValueError(f"pictures of {dict(size)} are no squares")
    return int(size["height"])


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = values if isinstance(values, list | tuple) else (values,) * 3
    return float(red), float(green), float(blue)


def _settings(place: str, folder: Path) -> dict[str, Any]:
    """What a model's image processor is set to, its defaults included."""
    from transformers import AutoImageProcessor

    if (folder / PROCESSOR).is_file():
        written = read_json(place, folder / PROCESSOR)
    elif (folder / WHOLE_PROCESSOR).is_file():
        written = read_json(place, folder / WHOLE_PROCESSOR).get("image_processor", {})
    else:
        written = read_json(place, folder / PROCESSOR)  # which says that there is none
    if str(written.get("image_processor_type")).startswith("DINOv3"):
        return DINOV3_DEFAULTS | written
    try:
        with quiet():
            return AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            ).to_dict()
    except Exception as error:  # transformers raises whatever its readers do
        raise UsageError(
            f"{place}: its image processor cannot be made ({first_line(error)}). Use another model."
        ) from error


def read_json(place: str, path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        UsageError: there is none, or it holds no settings.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            f"{place} has no readable {path.name} ({error.strerror}): it is no model as "
            "transformers saves them."
        ) from error
    except ValueError as error:
        raise UsageError(f"{place}: {path.name} is not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise UsageError(f"{place}: {path.name} holds no settings by name.")
    return content


def first_line(error: Exception) -> str:
    """What an error says first, as a part of a sentence."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".:")
