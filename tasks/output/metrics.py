"""``metrics.json``: what was measured of a selection, and of other methods at the same size."""

from typing import ClassVar

from pydantic import Field

from coreframe.tasks.kcenter.exchange import SHARE_OF_DISTANCE
from coreframe.tasks.output.documents import Document, Part
from coreframe.tasks.select.choice import Method

LEAST_SHARE = 1 - 1 / SHARE_OF_DISTANCE
"""Of its distance to earlier centers a pick keeps so much when it is exchanged."""


class MethodMetrics(Part):
    """Of the corpus, or of what one method chooses. Units are frames, or sequences of frames.

    L2 is a distance on the unit scale, 0 to about 2; None where a set has no pair.
    """

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset(
        {
            *("l2_mean_ci95", "l2_p10_ci95", "l2_p90_ci95"),
            *("sampled_frames", "sampled_pairs", "rows", "coverage_radius_all"),
            *("distinct", "objects"),
        }
    )

    n: int
    """Units in the set."""
    l2_mean: float | None
    """Mean over all pairs of the set, as are the four below."""
    l2_min: float | None
    """Smallest."""
    l2_max: float | None
    """Largest."""
    l2_p10: float | None
    """10th percentile."""
    l2_p90: float | None
    """90th percentile."""
    l2_counts: list[int]
    """Pairs in each ``l2_bin`` of distance, up to the last that has any."""
    exact: bool
    """All pairs were measured; else those of a random sample of the set."""
    l2_mean_ci95: float | None = None
    """Half the width of the 95 % confidence interval; of a sample only, as are the four below."""
    l2_p10_ci95: float | None = None
    """The same of the 10th percentile."""
    l2_p90_ci95: float | None = None
    """The same of the 90th percentile."""
    sampled_frames: int | None = None
    """Units in the sample."""
    sampled_pairs: int | None = None
    """Pairs in the sample."""
    coverage_radius: float | None
    """Largest L2 from any unit of the corpus to its nearest in the set; None of an empty set. Units
    that show nothing do not count, unless they may be chosen, nor do they in the mean."""
    coverage_mean: float | None
    """Mean of the same."""
    coverage_radius_all: float | None = None
    """The radius with units that show nothing counted; only where there are such."""
    distinct: int | None = None
    """Units that are left when, in the order of choosing, each is passed over that lies nearer to
    an earlier one than :attr:`Methods.different`. Of small sets only."""
    objects: int | None = None
    """Objects in the set's frames, where these were chosen by them: then distances are between
    objects, and gaps are those of objects."""
    rows: list[int] | None = None
    """Rows of the store that hold the chosen frames; not of the corpus itself."""


class Methods(Part):
    """All that are compared."""

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset({"facility_location"})

    original: MethodMetrics
    """The whole corpus."""
    fixed_rate: MethodMetrics
    """Units at an even stride."""
    random: MethodMetrics
    """Units drawn at random."""
    coreset: MethodMetrics
    """Greedy k-center."""
    facility_location: MethodMetrics | None = None
    """Greedy facility location, where that chose."""

    @property
    def different(self) -> float | None:
        """L2 from which on units count as different: the least between any two of the coreset.

        At most the largest gap that this leaves, from which all of its picks are apart but for
        exchanges; and at least three quarters of that, from which those are apart that were not
        chosen before. None of an empty set.
        """
        gap, least = self.coreset.coverage_radius, self.coreset.l2_min
        if gap is None:
            return None
        return gap if least is None else min(gap, max(LEAST_SHARE * gap, least))

    def by_key(self) -> dict[str, MethodMetrics]:
        """Each under its key, in the order of the tables."""
        every = {key: getattr(self, key) for key in type(self).model_fields}
        return {key: measured for key, measured in every.items() if measured is not None}


class Knee(Part):
    """Where more picks stop paying."""

    k: int
    """Units picked up to there."""
    radius: float
    """Covering radius there, L2."""
    before: float
    """How much a pick lowers the radius on average, up to there."""
    after: float
    """The same from there on."""


class StorageMetrics(Part):
    """What is stored now, what all frames as images would take, and what was kept."""

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset(
        {"all_frames_bytes", "all_frames_png_bytes", "all_frames_jpg_bytes"}
    )

    source_videos_bytes: int
    """Of the videos of the corpus."""
    all_frames_bytes: int | None = None
    """Of all sampled frames, written as the chosen ones are: the same crop, size, format and
    quality. Frames that are too large for the format take none. Not in files before version 2."""
    all_frames_png_bytes: int | None = None
    """Of all sampled frames as PNG at full resolution; in files before version 2."""
    all_frames_jpg_bytes: int | None = None
    """Of the same as JPEG of quality 95; in files before version 2."""
    all_frames: int
    """Sampled frames that can be decoded."""
    all_frames_estimated_from: int
    """Frames that were encoded to find the bytes of all."""
    all_frames_exact: bool
    """They were all frames."""
    kept_frames_bytes: int
    """Of the images in ``frames/``."""
    kept_frames: int
    """Images in ``frames/``."""
    reduction_factor: float | None
    """How many times less is kept than all, written the same way; None where nothing is kept. In
    files before version 2 than all as PNG at full resolution, however the chosen are written."""


class WishCost(Part):
    """What a wish cost: the largest gap with it, and had everything else been the same without."""

    wish: str
    """As the command has it, such as ``prefer conf:-0.5``."""
    radius: float
    """Covering radius of what was chosen, over all units that show something."""
    radius_without: float | None
    """Of as many units, chosen without it. None where that could not be chosen, or was not
    computed because it would take long."""


class Metrics(Document):
    """The whole file."""

    methods: Methods
    """What was measured of each method."""
    selected: Method
    """The method that chose."""
    sequence_length: int
    """Frames a unit."""
    l2_bin: float
    """Width in L2 of the bins of ``l2_counts``."""
    knee: Knee | None
    """None where the curve of the radius is too short, or has no bend that can be seen."""
    storage: StorageMetrics
    """What is stored, what would be, and what was kept."""
    wishes: list[WishCost] = Field(default=[])
    """Of each wish of a coreset what it cost; empty where none was asked for."""

    @property
    def selected_key(self) -> str:
        """The selected method's key among the methods."""
        return self.selected.replace("-", "_")

    @property
    def selected_name(self) -> str:
        """The selected method's name for people."""
        return self.selected.replace("-", " ")

    @property
    def chosen(self) -> MethodMetrics:
        """What was measured of the selected method."""
        return self.methods.by_key()[self.selected_key]

    @property
    def compared(self) -> str:
        """What distances are between: units, or objects in them."""
        return self.noun if self.chosen.objects is None else "object"

    @property
    def noun(self) -> str:
        """What a unit is called."""
        return "frame" if self.sequence_length == 1 else "sequence"
