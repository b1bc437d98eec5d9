"""What training is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """What is to be done."""

    max_epochs: int = 10
    batch_size: int = 128
    """Moments a step; each is seen twice."""
    seed: int = 0
