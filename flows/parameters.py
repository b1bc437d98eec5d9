"""What a person can set. Prefect's pages make their forms from these models."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tasks.embedding.embedder import EmbedderSpec
from tasks.selection.methods import Budget, Choice
from tasks.video.pictures import PictureSettings, Resize
from tasks.video.pixels import Crop
from tasks.video.sampling import Sampling

DEFAULT_SAMPLES = 100
"""Frames selected when no budget is given: enough to look through in a minute."""


def _fps(value: str) -> str:
    try:
        above_zero = Fraction(value) > 0
    except (ValueError, ZeroDivisionError):
        above_zero = False
    if not above_zero:
        raise ValueError("must be a number above 0, such as 2, 0.5, 29.97 or 30000/1001")
    return value


def _crop(value: str) -> str:
    Crop.parse(value)
    return value


def _resize(value: str) -> str:
    Resize.parse(value)
    return value


class Parameters(BaseModel):
    """Unknown names are errors: a misspelt parameter must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class Corpus(Parameters):
    """Which files."""

    videos: list[str] = Field(
        default=[], description="Files, folders (searched recursively) and globs."
    )
    files_from: str | None = Field(default=None, description="A text file with one path a line.")
    include: list[str] = Field(
        default=[], description="Keep only files whose name matches one of these."
    )
    exclude: list[str] = Field(
        default=[], description="Drop files whose name matches one of these."
    )
    corrupt_threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of broken videos above which the run ends in an error, once done.",
    )


class Ingestion(Parameters):
    """Which frames, and what the embedder sees of them. Fixed when the store is made."""

    sample_fps: Annotated[str, AfterValidator(_fps)] | None = Field(
        default=None, description="Frames per second to keep, as ffmpeg -vf fps keeps them."
    )
    every: int = Field(default=1, ge=1, description="Keep every n-th frame.")
    crop: Annotated[str, AfterValidator(_crop)] | None = Field(
        default=None,
        description="W:H:X:Y in pixels of the upright picture; also of exported frames.",
    )
    embedder: str = Field(default="descriptor", description="descriptor")
    input_size: int | None = Field(
        default=None, ge=32, le=1024, description="Side in pixels of what the embedder is given."
    )
    batch_size: int = Field(default=64, ge=1, le=65536, description="Frames embedded at once.")
    block_rows: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Rows a block when making a store (1024)."
    )

    @model_validator(mode="after")
    def _one_sampling(self) -> "Ingestion":
        if self.sample_fps is not None and self.every != 1:
            raise ValueError("sample-fps and every are two ways to sample: give one of them")
        return self

    def sampling(self) -> Sampling:
        return Sampling(Fraction(self.sample_fps) if self.sample_fps else None, self.every)

    def crop_px(self) -> Crop | None:
        return Crop.parse(self.crop) if self.crop else None


class Selecting(Parameters):
    """How many frames, and by which method. Budgets combine: whichever stops first."""

    method: Literal["coreset", "random", "fixed-rate"] = "coreset"
    n_samples: int | None = Field(
        default=None,
        ge=1,
        description=f"Frames at most ({DEFAULT_SAMPLES} when no budget is given).",
    )
    proportion: float | None = Field(
        default=None, gt=0, le=1, description="Share of the decodable frames."
    )
    min_distance: float | None = Field(
        default=None, ge=0, le=2, description="L2 that any two selected frames are apart at least."
    )
    seed: int = Field(default=0, ge=0, description="Of the random method and of samples.")
    keep_exact_duplicates: bool = Field(
        default=False, description="Allow frames whose pixels equal an earlier frame's."
    )

    def choice(self) -> Choice:
        n_samples = self.n_samples
        if self.n_samples is None and self.proportion is None and self.min_distance is None:
            n_samples = DEFAULT_SAMPLES
        budget = Budget(n_samples, self.proportion, self.min_distance or 0.0)
        return Choice(self.method, budget, self.seed, self.keep_exact_duplicates)


class Picture(Parameters):
    """How selected frames are written."""

    resize: Annotated[str, AfterValidator(_resize)] | None = Field(
        default=None, description="WxH, Wx or xH in pixels; full resolution when not given."
    )
    format: Literal["png", "jpg", "webp"] = "png"
    quality: int = Field(default=95, ge=1, le=100, description="Of jpg and webp.")

    def settings(self, crop: Crop | None) -> PictureSettings:
        resize = Resize.parse(self.resize) if self.resize else None
        return PictureSettings(crop, resize, self.format, self.quality)


class Compute(Parameters):
    """Where the work is done."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Processes of the local cluster; one a core or GPU.",
    )
    cluster: str | None = Field(
        default=None, description="tcp://… of a Dask scheduler, or a cluster file that names one."
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _one_place(self) -> "Compute":
        if self.cluster is not None and self.workers is not None:
            raise ValueError("workers is for the local cluster: leave it out when naming a cluster")
        return self

    def embedder(self, ingestion: Ingestion) -> EmbedderSpec:
        return EmbedderSpec(
            ingestion.embedder, ingestion.input_size, self.device, ingestion.batch_size
        )
