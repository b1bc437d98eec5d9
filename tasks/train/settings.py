"""The settings of a training. Nothing here imports torch: they are read where none is needed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """How much views differ from their pictures. Of two numbers, the first is the least."""

    area: tuple[float, float] = (0.3, 1.0)
    """Share of the picture that a view shows."""
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    """Width to height of what it shows."""
    brightness: float = 0.4
    """It is multiplied by a factor up to so much above or below 1, as are the next two."""
    contrast: float = 0.4
    saturation: float = 0.4
    hue_turns: float = 0.05
    """By which colours turn around grey, at most, either way."""
    recoloured: float = 0.8
    """Share of views whose colours change."""
    blurred: float = 0.5
    """Share of views that are blurred."""
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)
    """For pictures of 64 pixels a side; of larger ones in proportion."""


AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained."""

    max_epochs: int = 10
    batch_size: int = 128
    """Moments a step; each is seen twice."""
    seed: int = 0
    threads: int | None = None
    """CPU threads; None for one a core. The last bits of the result depend on it."""
    augmentation: Augmentation = AUGMENTATION
