"""What a person can set of which frames are chosen; a model like those of `parameters`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from coreframe.flows.parameters import Parameters
from coreframe.flows.texts import balances, each_query, limits, readable, strengths
from coreframe.tasks.select.choice import (
    LIKE_STRENGTH,
    NEIGHBOURS,
    SHARPEST_WITHIN,
    Budget,
    Choice,
    Method,
)

DEFAULT_SAMPLES = 100
"""Frames selected when no budget is given: enough to look through in a minute."""


class Selecting(Parameters):
    """How many frames, and by which method. Budgets combine: whichever stops first."""

    method: Literal["coreset", "facility-location", "random", "fixed-rate"] = Field(
        default="coreset", description="coreset, facility-location, random or fixed-rate."
    )
    n_samples: int | None = Field(
        default=None,
        ge=1,
        description=f"Frames at most [default: {DEFAULT_SAMPLES} when no budget is given].",
    )
    proportion: float | None = Field(
        default=None, gt=0, le=1, description="Share of the decodable frames at most."
    )
    min_distance: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="L2 (0 to 2) that any two selected frames are apart at least.",
    )
    radius: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="L2 (0 to 2) within which every frame has a selected one: stop then.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of the random method, and of what is sampled for the report.",
    )
    keep_exact_duplicates: bool = Field(
        default=False, description="Allow frames whose pixels equal an earlier frame's."
    )
    keep_suspect: bool = Field(
        default=False,
        description="Allow frames whose pictures are damaged, or built on damaged ones.",
    )
    keep_flat: bool = Field(
        default=False,
        description="Allow frames that show nothing: black, one colour, almost the end of a fade.",
    )
    skip_outliers: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the frames to leave out that nothing resembles: smears, test cards.",
    )
    neighbours: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=f"By how many of its nearest a frame is typical [default: {NEIGHBOURS}].",
    )
    columns: list[str] = Field(
        default=[],
        description="Parquet or CSV of what you know of frames, added to the store first as "
        "`coreframe columns add` does; repeatable.",
    )
    where: str | None = Field(
        default=None,
        description="Choose only frames that meet an expression of SQL: "
        "\"sharpness > 0.02 AND video LIKE 'front%'\".",
    )
    min: Annotated[list[str], readable(limits)] = Field(
        default=[], description="COLUMN=V, such as sharpness=0.02: no frame below; repeatable."
    )
    max: Annotated[list[str], readable(limits)] = Field(
        default=[], description="COLUMN=V, such as luminance=0.9: no frame above; repeatable."
    )
    prefer: Annotated[list[str], readable(strengths)] = Field(
        default=[],
        description="COLUMN:S, S from 0 to 1: how much farther out a frame with a small value must "
        "lie to be chosen; from 0 to -1 one with a large value; repeatable.",
    )
    balance: Annotated[list[str], readable(balances)] = Field(
        default=[],
        description="COLUMN, COLUMN=input or COLUMN=FILE: choose all its values alike, as often as "
        "among all frames, or by a file of shares; repeatable.",
    )
    like: Annotated[list[str], readable(each_query)] = Field(
        default=[],
        description="Prefer frames like file:PATH (a picture), frame:VIDEO@TIME or text:WORDS; "
        "repeatable.",
    )
    unlike: Annotated[list[str], readable(each_query)] = Field(
        default=[], description="Prefer frames unlike it; repeatable."
    )
    like_strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="0 to 1: how much farther out a frame that is less so must lie to be chosen "
        f"[default: {LIKE_STRENGTH} without like-share].",
    )
    like_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Choose from this share of the frames alone, those most like it.",
    )
    objects: bool = Field(default=False, description="Choose frames by the objects in them.")
    prefer_sharp: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="0 to 1: how much farther out a blurred frame must lie to be chosen.",
    )
    sharpest_within: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Exchange a pick for the sharpest frame so near to it within a second "
        f"[default: {SHARPEST_WITHIN}; 0 with radius, sequence-length or prefer].",
    )
    min_per_video: int = Field(default=0, ge=0, description="Frames of every video at least.")
    max_per_video: int | None = Field(
        default=None, ge=1, description="Frames of any video at most."
    )
    sequence_length: int = Field(
        default=1, ge=1, le=65536, description="Choose runs of so many consecutive sampled frames."
    )
    preselected: str | None = Field(
        default=None,
        description="Frames to start from: a selection.parquet, or CSV of video,frame_index.",
    )
    count_preselected: bool = Field(
        default=False, description="Preselected frames count towards the number asked for."
    )
    name: str | None = Field(
        default=None, description="Keep the selection in the store under this name; extend it."
    )
    drop_gone: bool = Field(
        default=False,
        description="With a name: drop frames whose videos are gone or changed.",
    )
    cost_per_frame: float | None = Field(
        default=None,
        gt=0,
        description="What it costs to label a frame, in any currency: the report then says it for "
        "this and the other ways to choose.",
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
            keep_suspect=self.keep_suspect,
            keep_flat=self.keep_flat,
            objects=self.objects,
            skip_outliers=self.skip_outliers,
            neighbours=self.neighbours,
            sequence_length=self.sequence_length,
            minimum=limits(self.min),
            maximum=limits(self.max),
            where=self.where,
            prefer=strengths(self.prefer),
            balance=balances(self.balance),
            like=tuple(self.like),
            unlike=tuple(self.unlike),
            like_strength=self.like_strength,
            like_share=self.like_share,
            prefer_sharp=self.prefer_sharp,
            sharpest_within=self.sharpest_within,
            min_per_video=self.min_per_video,
            max_per_video=self.max_per_video,
            preselected=self.preselected,
            count_preselected=self.count_preselected,
            name=self.name,
            drop_gone=self.drop_gone,
        )
