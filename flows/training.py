"""How the simclr embedder learns, as the command and the flow take it."""

from pydantic import Field

from coreframe.flows.parameters import Parameters
from coreframe.tasks.train.settings import TrainingSettings


class Training(Parameters):
    """How the simclr embedder learns."""

    max_epochs: int = Field(default=10, ge=1, le=10_000, description="Times every frame is shown.")
    batch_size: int = Field(
        default=128, ge=8, le=4096, description="Frames a step, each seen as two views."
    )
    input_size: int | None = Field(
        default=None,
        ge=32,
        le=256,
        description="Side in pixels of the pictures [default: the checkpoint's, or 64].",
    )
    checkpoint: str | None = Field(
        default=None, description="Start from this one, a file or folder that training wrote."
    )
    max_frames: int = Field(
        default=100_000, ge=16, description="Of more, so many at an even stride are shown."
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="Seed of weights, order and views.")

    def settings(self) -> TrainingSettings:
        return TrainingSettings(self.max_epochs, self.batch_size, self.seed)
