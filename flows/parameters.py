"""What a person can set. Prefect's pages make their forms from these models, and `choosing`'s."""

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from coreframe.flows.texts import fps, readable
from coreframe.flows.values import Positional
from coreframe.tasks.embedders.names import (
    DEFAULT_BATCH,
    DESCRIPTOR,
    EARLIER_DESCRIPTOR,
    absolute_name,
)
from coreframe.tasks.output.images import ImageFormat, PictureSettings, Resize
from coreframe.tasks.store.settings import StoreSettings
from coreframe.tasks.video.claims import MOST_FRAMES
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import Crop, parse_stream_choice

if TYPE_CHECKING:  # it loads torch, which a notebook needs for choosing only
    from coreframe.tasks.embedders.embedder import EmbedderSpec

NEW_STORE: dict[str, Any] = {
    "embedder": DESCRIPTOR,
    "every": 1,
    "pixels": "square",
    "tone_map": "on",
    "deinterlace": "off",
    "stream": "best",
}
"""What `Ingestion` asks of a new store where nothing is given."""

LEAST_MEMORY_BYTES = 600 * 10**6
"""A worker takes some 400 MB before it holds anything."""


class Parameters(BaseModel):
    """Unknown names are errors: a misspelt parameter must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class Sources(Parameters):
    """Which files."""

    videos: Annotated[list[str], Positional("VIDEOS...")] = Field(
        default=[], description="Files, folders (searched recursively) and globs."
    )
    files_from: str | None = Field(default=None, description="A text file with one path a line.")
    include: list[str] = Field(
        default=[], description="Keep only names matching this glob; repeatable."
    )
    exclude: list[str] = Field(default=[], description="Drop names matching this glob; repeatable.")
    corrupt_threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of broken videos above which the run ends in an error, "
        "once all is done.",
    )
    video_timeout: float = Field(
        default=300.0,
        ge=0,
        description="Seconds without a frame after which a decoder counts as hung: its worker is "
        "ended and, the second time, the video quarantined; 0 to wait for ever.",
    )
    max_frames_per_file: int = Field(
        default=MOST_FRAMES, ge=1, description="A file that has or claims more frames is broken."
    )
    retry_quarantined: bool = Field(
        default=False, description="Try videos again that crashed or hung workers."
    )


class Ingestion(Parameters):
    """Which frames, and what the embedder sees of them. Fixed when the store is made.

    What is None was not given: then it is the store's, or of a new store the default.
    """

    sample_fps: Annotated[str, AfterValidator(fps)] | None = Field(
        default=None,
        description="Frames per second to keep, as ffmpeg -vf fps does "
        "[default: the store's, or all].",
    )
    every: int | None = Field(
        default=None, ge=1, description="Keep every n-th frame [default: the store's, or all]."
    )
    crop: Annotated[str, readable(Crop.parse)] | None = Field(
        default=None,
        description="W:H:X:Y in pixels of the upright picture, of what is embedded and exported "
        "[default: the store's, or all of it].",
    )
    pixels: Literal["square", "stored"] | None = Field(
        default=None,
        description="square or stored: whether pictures of pixels that are not square are embedded "
        "and exported as players show them [default: the store's, or square].",
    )
    tone_map: Literal["off", "on"] | None = Field(
        default=None,
        description="on or off: show high dynamic range (PQ, HLG) as an ordinary screen does, in "
        "what is embedded and exported [default: the store's, or on].",
    )
    deinterlace: Literal["off", "on"] | None = Field(
        default=None,
        description="off or on: make whole pictures of interlaced ones, in what is embedded and "
        "exported [default: the store's, or off].",
    )
    stream: Annotated[str, readable(parse_stream_choice)] | None = Field(
        default=None,
        description="best, largest or N: which film of a file that holds several, N counted from "
        "0 [default: the store's, or best].",
    )
    embedder: str | None = Field(
        default=None,
        description="hf:ID or hf:FOLDER of a Hugging Face model, simclr:FOLDER of a checkpoint, "
        f"{DESCRIPTOR}, or {EARLIER_DESCRIPTOR} [default: the store's, or {DESCRIPTOR}].",
    )
    input_size: int | None = Field(
        default=None,
        ge=32,
        le=1024,
        description="Side in pixels of what the embedder is given [default: the store's, or the "
        "embedder's].",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description=f"Frames embedded at once [default: {DEFAULT_BATCH}; of a network on a GPU "
        "what is fastest there, for each store].",
    )
    decoder: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        description="Who decodes beside a GPU: cpu cores, the gpu where it can, or the faster one.",
    )
    block_rows: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=f"Rows a block [default: the store's, or {StoreSettings.block_rows}].",
    )

    @model_validator(mode="after")
    def _one_sampling(self) -> "Ingestion":
        if self.sample_fps is not None and self.every not in (None, 1):
            raise ValueError("sample-fps and every are two ways to sample: give one of them")
        return self

    def sampling(self) -> Sampling:
        return Sampling(Fraction(self.sample_fps) if self.sample_fps else None, self.every or 1)


class Picture(Parameters):
    """How selected frames are written."""

    resize: Annotated[str, readable(Resize.parse)] | None = Field(
        default=None,
        description="WxH, Wx or xH in pixels, of exported frames [default: full resolution].",
    )
    format: Literal["png", "jpg", "webp"] = Field(default="png", description="png, jpg or webp.")
    quality: int = Field(default=95, ge=1, le=100, description="Of jpg and webp, 1 to 100.")

    def settings(self) -> PictureSettings:
        resize = Resize.parse(self.resize) if self.resize else None
        return PictureSettings(resize, ImageFormat(self.format), self.quality)


class Compute(Parameters):
    """Where the work is done."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Local processes [default: one a core, beside GPUs one for four].",
    )
    cluster: str | None = Field(
        default=None, description="tcp://... of a Dask scheduler, or a file that names one."
    )
    cluster_timeout: float = Field(
        default=120.0,
        gt=0,
        le=86400,
        description="Seconds within which the named cluster must answer and have a worker.",
    )
    dashboard: bool = Field(
        default=False,
        description="Show Dask's dashboard on this machine, at a URL that the run tells.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto, cpu or cuda.")
    memory_limit: ByteSize | None = Field(
        default=None,
        ge=LEAST_MEMORY_BYTES,
        description="Of each local process, such as 2GB [default: they share all there is].",
    )

    @field_validator("cluster", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return value or None  # a deployment's variable that is not set, or a form's field

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
        from coreframe.tasks.embedders.embedder import EmbedderSpec

        name = absolute_name(ingestion.embedder or DESCRIPTOR)
        given = ingestion.batch_size
        batch = given or DEFAULT_BATCH, given is not None
        return EmbedderSpec(name, ingestion.input_size, Device(self.device), *batch)
