"""The settings of a training."""

from dataclasses import dataclass

from coreframe.tasks.train.views import AUGMENTATION, Augmentation


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
