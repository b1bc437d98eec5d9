"""What a person can set. Prefect's pages make their forms from these models."""

import math
import shlex
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, model_validator

from coreframe.tasks.output.images import ImageFormat, PictureSettings, Resize
from coreframe.tasks.select.choice import MEASURES, Budget, Choice, Method
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.video.pixels import Crop
from coreframe.tasks.video.sampling import Sampling

if TYPE_CHECKING:  # it loads torch, which a notebook needs for choosing only
    from coreframe.tasks.embedders.embedder import EmbedderSpec

DEFAULT_SAMPLES = 100
"""Frames selected when no budget is given: enough to look through in a minute."""

LEAST_MEMORY_BYTES = 600 * 10**6
"""A worker takes some 400 MB before it holds anything."""


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


def _limits(given: list[str]) -> list[str]:
    _measures(given)
    return given


def _measures(given: list[str]) -> dict[str, float]:
    """Read ``MEASURE=VALUE`` texts."""
    limits: dict[str, float] = {}
    for text in given:
        measure, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if measure not in MEASURES or not math.isfinite(number):
            raise ValueError(f"must be {' or '.join(MEASURES)}, =, and a number: sharpness=0.02")
        if measure in limits:
            raise ValueError(f"{measure} is limited twice: give one of them")
        limits[measure] = number
    return limits


Wait = Annotated[
    float, Field(ge=0, description="Seconds to wait for another run that writes to the store.")
]
"""Of the flows that write to it."""


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
    video_timeout: float = Field(
        default=300.0,
        ge=0,
        description="Seconds that a decoder may give no sign of life before its worker is ended "
        "and, the second time, the video quarantined; 0 to wait for ever.",
    )
    retry_quarantined: bool = Field(
        default=False, description="Try those videos again that crashed or hung workers."
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
    embedder: str = Field(
        default="descriptor",
        description="descriptor; hf: and the id or the folder of a Hugging Face model; or simclr: "
        "and the folder of a checkpoint.",
    )
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
    radius: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Stop once every frame is as near as this to a selected one; L2.",
    )
    keep_exact_duplicates: bool = Field(
        default=False, description="Allow frames whose pixels equal an earlier frame's."
    )
    min: Annotated[list[str], AfterValidator(_limits)] = Field(
        default=[], description="MEASURE=VALUE: choose no frame below it. sharpness, luminance."
    )
    max: Annotated[list[str], AfterValidator(_limits)] = Field(
        default=[], description="MEASURE=VALUE: choose no frame above it. sharpness, luminance."
    )
    prefer_sharp: float = Field(
        default=0.0, ge=0, le=1, description="Among near-equals choose the sharper; a strength."
    )
    min_per_video: int = Field(default=0, ge=0, description="Frames of every video at least.")
    max_per_video: int | None = Field(
        default=None, ge=1, description="Frames of any video at most."
    )
    sequence_length: int = Field(
        default=1, ge=1, le=65536, description="Consecutive sampled frames chosen together."
    )
    preselected: str | None = Field(
        default=None, description="A selection.parquet, or CSV of video and frame_index."
    )
    count_preselected: bool = Field(
        default=False, description="Preselected frames count towards the number asked for."
    )
    name: str | None = Field(
        default=None, description="Keep the selection in the store, to extend it later."
    )
    drop_gone: bool = Field(
        default=False,
        description="Drop frames from a kept selection whose videos are gone or changed.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Selecting":
        self.choice()
        return self

    def choice(self) -> Choice:
        """Put it in the terms of `coreframe.tasks.kcenter`.

        Raises:
            UsageError: what is asked for contradicts itself.
        """
        n_samples = self.n_samples
        bounds = (self.n_samples, self.proportion, self.min_distance, self.radius)
        if all(bound is None for bound in bounds):
            n_samples = max(DEFAULT_SAMPLES, self.sequence_length)
        return Choice(
            method=Method(self.method),
            budget=Budget(n_samples, self.proportion, self.min_distance or 0.0, self.radius),
            seed=self.seed,
            keep_exact_duplicates=self.keep_exact_duplicates,
            sequence_length=self.sequence_length,
            minimum=_measures(self.min),
            maximum=_measures(self.max),
            prefer_sharp=self.prefer_sharp,
            min_per_video=self.min_per_video,
            max_per_video=self.max_per_video,
            preselected=self.preselected,
            count_preselected=self.count_preselected,
            name=self.name,
            drop_gone=self.drop_gone,
        )


class Picture(Parameters):
    """How selected frames are written."""

    resize: Annotated[str, AfterValidator(_resize)] | None = Field(
        default=None, description="WxH, Wx or xH in pixels; full resolution when not given."
    )
    format: Literal["png", "jpg", "webp"] = "png"
    quality: int = Field(default=95, ge=1, le=100, description="Of jpg and webp.")

    def settings(self, crop: Crop | None) -> PictureSettings:
        resize = Resize.parse(self.resize) if self.resize else None
        return PictureSettings(crop, resize, ImageFormat(self.format), self.quality)


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
        description="Side in pixels of the pictures; the checkpoint's, or 64.",
    )
    checkpoint: str | None = Field(
        default=None, description="A file or folder that training wrote, to start from."
    )
    max_frames: int = Field(
        default=100_000, ge=16, description="Of more, so many at an even stride are learned from."
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="Of weights, order and views.")

    def settings(self) -> TrainingSettings:
        return TrainingSettings(self.max_epochs, self.batch_size, self.seed)


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
    memory_limit: ByteSize | None = Field(
        default=None,
        ge=LEAST_MEMORY_BYTES,
        description="Of each process of the local cluster, such as 2GB; by default they share all.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "Compute":
        if self.cluster is not None and self.workers is not None:
            raise ValueError("workers is for the local cluster: leave it out when naming a cluster")
        if self.cluster is not None and self.memory_limit is not None:
            raise ValueError(
                "memory-limit is for the local cluster: start the named one's workers with theirs"
            )
        return self

    def embedder(self, ingestion: Ingestion) -> "EmbedderSpec":
        """Name it so that workers in other folders find it."""
        from coreframe.tasks.device import Device
        from coreframe.tasks.embedders.embedder import EmbedderSpec, absolute_name

        name = absolute_name(ingestion.embedder)
        device = Device(self.device)
        return EmbedderSpec(name, ingestion.input_size, device, ingestion.batch_size)


MODELS = {
    model.__name__.lower(): model
    for model in (Corpus, Ingestion, Selecting, Picture, Training, Compute)
}


def command(parameters: Mapping[str, Any]) -> str:
    """The command that runs a flow with these parameters; what is a default is left out.

    Args:
        parameters: of ``curate`` or ``select``: ``store`` and ``out``, and by its name in lower
            case what each model holds.
    """
    words = ["coreframe", "curate" if "corpus" in parameters else "select"]
    words += ["--store", parameters["store"], "--out", parameters["out"]]
    for name, model in MODELS.items():
        given = parameters.get(name, {})
        for field, facts in model.model_fields.items():
            value = given.get(field)
            if field == "videos" or value is None or value == facts.get_default():
                continue
            option = f"--{field.replace('_', '-')}"
            if value is True:
                words.append(option)
            else:
                for one in value if isinstance(value, list) else [value]:
                    words += [option, str(one)]
    videos = parameters.get("corpus", {}).get("videos", [])
    if any(video.startswith("-") for video in videos):
        words.append("--")
    return shlex.join([*words, *videos])
