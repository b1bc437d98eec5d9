"""What training is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """What is to be done."""

    max_epochs: int = 10
    batch_size: int = 128
    """Moments a step; each is seen twice."""
    seed: int = 0
    threads: int | None = None
    """CPU threads; None for one a core. The last bits of the result depend on it."""
