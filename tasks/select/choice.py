"""What can be asked of a selection, and which options contradict each other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from coreframe.tasks.errors import UsageError
from coreframe.tasks.scale import squared_reach, squared_threshold
from coreframe.tasks.select.balance import Balance


class Method(StrEnum):
    """The ways of choosing; each equals the word that the command and the outputs have."""

    CORESET = "coreset"
    """The most diverse frames, by greedy k-center."""
    RANDOM = "random"
    FIXED_RATE = "fixed-rate"
    FACILITY_LOCATION = "facility-location"
    """The frames to which all others are nearest on average, by greedy facility location."""


GREEDY = (Method.CORESET, Method.FACILITY_LOCATION)
"""The methods that choose one frame after the other, each the best beside those before it."""

SHARPEST_WITHIN = 0.08
"""Up to here the largest gap is on average what it is without, see `benchmarks/README.md`."""

LIKE_STRENGTH = 0.5
"""Of a wish for frames that are like something, where neither strength nor share is given."""

TYPICAL = "typical"
"""A column that they may name, too: see :mod:`coreframe.tasks.select.typical`."""

NEIGHBOURS = 5
"""By whose distances a frame is typical: below the shortest scene."""


@dataclass(frozen=True)
class Budget:
    """How many frames to select. What is given combines: whichever stops first.

    All distances are L2 on the unit scale.
    """

    n_samples: int | None = None
    proportion: float | None = None
    """Of the corpus's decodable frames."""
    min_distance: float = 0.0
    """That every two selected frames are apart at least; 0 for no limit."""
    radius: float | None = None
    """Stop once every frame that could be chosen is as near as this to a selected one."""

    def __post_init__(self) -> None:
        if self.n_samples is not None and self.n_samples < 1:
            raise UsageError(
                f"n-samples {self.n_samples} is not at least 1: ask for one frame or more."
            )
        if self.proportion is not None and not 0 < self.proportion <= 1:
            raise UsageError(f"proportion {self.proportion} is not above 0 and at most 1.")
        for name, value in (("min-distance", self.min_distance), ("radius", self.radius or 0.0)):
            if not 0 <= value <= 2:
                raise UsageError(
                    f"{name} {value} is not from 0 to 2, the range of distances between unit "
                    "vectors."
                )
        if self.radius is not None and self.min_distance > self.radius:
            raise UsageError(
                f"min-distance {self.min_distance} is larger than radius {self.radius}: a frame "
                "between the two could be neither covered nor chosen. Ask for a smaller "
                "min-distance."
            )

    def asked(self, decodable: int) -> int | None:
        """Frames asked for of a corpus of so many decodable ones; None for as many as there are.

        A proportion rounds down, but to no less than one frame.
        """
        limits = [] if self.n_samples is None else [self.n_samples]
        if self.proportion is not None:
            limits.append(max(1, int(exact(self.proportion) * decodable)))
        return min(limits, default=None)

    @property
    def squared_min_distance(self) -> int:
        """In squared lattice units."""
        return squared_threshold(self.min_distance)

    @property
    def squared_radius(self) -> int | None:
        """The largest squared lattice distance within the radius."""
        return None if self.radius is None else squared_reach(self.radius)


@dataclass(frozen=True)
class Choice:
    """How to choose. Nothing set beyond the method and the budget gives the plain coreset."""

    method: Method = Method.CORESET
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    keep_exact_duplicates: bool = False
    keep_suspect: bool = False
    """Whether frames may be chosen whose pictures are damaged, or built on such."""
    keep_flat: bool = False
    """Whether frames may be chosen, and count in the gaps, whose pictures show nothing."""
    skip_outliers: float = 0.0
    """Share of the frames that nothing resembles which are not chosen, and count in no gap."""
    neighbours: int | None = None
    """By how many of its nearest a frame is typical; None for NEIGHBOURS."""
    sequence_length: int = 1
    """Consecutive sampled frames that are chosen together, by their mean embedding."""
    minimum: Mapping[str, float] = field(default_factory=dict)
    """Of a column; frames below it cannot be chosen."""
    maximum: Mapping[str, float] = field(default_factory=dict)
    where: str | None = None
    """What frames must meet; see :mod:`coreframe.tasks.select.expression`."""
    prefer: Mapping[str, float] = field(default_factory=dict)
    """By column how strongly large values are preferred, or, below 0, small ones; see
    :func:`coreframe.tasks.select.units.weights`."""
    like: Sequence[str] = ()
    """Queries, see `coreframe.tasks.query.asked`: what frames should be like."""
    unlike: Sequence[str] = ()
    """Likewise, what they should be unlike."""
    like_strength: float | None = None
    """By which the better of near-equals wins, as `prefer_sharp`. None for LIKE_STRENGTH where
    there are queries and no share, else for 0."""
    like_share: float | None = None
    """Only the best frames, this share of those eligible otherwise, are eligible."""
    prefer_sharp: float = 0.0
    """The same of the column ``sharpness``."""
    balance: tuple[Balance, ...] = ()
    """Classes that are chosen in given shares."""
    sharpest_within: float | None = 0.0
    """For a pick the sharpest frame as near to it as this (L2) may be taken, 0 for none: see
    :mod:`coreframe.tasks.kcenter.exchange`. None for what is usual: SHARPEST_WITHIN, but 0 where
    it does not belong to what is asked for."""
    objects: bool = False
    """Whether frames are chosen by the objects in them: see :mod:`coreframe.tasks.select.crops`."""
    min_per_video: int = 0
    max_per_video: int | None = None
    preselected: str | None = None
    """A file that lists frames to start from."""
    count_preselected: bool = False
    """Whether these count towards the budget's number of frames."""
    name: str | None = None
    """Of the selection that the store keeps, to be extended later."""
    drop_gone: bool = False
    """Whether frames that it holds of videos that are gone or changed are dropped from it."""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "method", Method(self.method))  # a word will do
        except ValueError:
            raise UsageError(f"unknown method {self.method!r}: use {', '.join(Method)}.") from None
        if self.sharpest_within is None:
            whole = self.budget.radius is None and self.sequence_length == 1 and not self.objects
            usual = self.method is Method.CORESET and whole and not self.preferences
            object.__setattr__(self, "sharpest_within", SHARPEST_WITHIN if usual else 0.0)
        self._refuse_queries()
        if self.like_strength is None:
            weighed = self.by_query and self.like_share is None
            object.__setattr__(self, "like_strength", LIKE_STRENGTH if weighed else 0.0)
        if self.method is Method.FACILITY_LOCATION:
            self._refuse(self._of_largest_gap())
        elif self.method is not Method.CORESET:
            self._refuse(self._of_largest_gap() | self._of_greedy())
        if self.objects:
            self._refuse_with_objects()
        self._refuse_quality()
        self._refuse_outliers()
        self._refuse_shares()
        if self.count_preselected and self.preselected is None:
            raise UsageError(
                "count-preselected says how to count the frames of preselected: give both."
            )
        if self.drop_gone and self.name is None:
            raise UsageError("drop-gone drops frames from a kept selection: give its name, too.")
        if self.preselected is not None and self.sequence_length > 1:
            raise UsageError(
                "preselected names frames, and with sequence-length only whole sequences are "
                "chosen: leave one of them out."
            )
        n = self.budget.n_samples
        if n is not None and n < self.sequence_length:
            raise UsageError(
                f"n-samples {n} is less than one sequence of {self.sequence_length} frames: ask "
                "for more frames, or shorter sequences."
            )

    @property
    def preferences(self) -> dict[str, float]:
        """Strength by column, of all that is preferred, in the order of the columns' names."""
        sharp = {"sharpness": self.prefer_sharp} if self.prefer_sharp else {}
        return dict(sorted({**self.prefer, **sharp}.items()))

    @property
    def by_query(self) -> bool:
        """Whether frames are to be like or unlike something."""
        return bool(self.like or self.unlike)

    @property
    def limits(self) -> list[str]:
        """What frames must be, as it is written: ``where conf > 0.5``, ``min conf=1``."""
        bounds = [
            f"{option} {column}={value:g}"
            for option, own in (("min", self.minimum), ("max", self.maximum))
            for column, value in own.items()
        ]
        return bounds if self.where is None else [f"where {self.where}", *bounds]

    def without_queries(self) -> "Choice":
        """The same, of all that could be chosen whatever it is like."""
        return replace(self, like=(), unlike=(), like_strength=None, like_share=None)

    @property
    def columns(self) -> list[str]:
        """Columns of the frames table that any choice takes."""
        own = ["row", "video", "digest", "suspect", "flat"]
        return [*own, "sharpness", "time_s"] if self.sharpest_within else own

    def _refuse_queries(self) -> None:
        for option, value in (("strength", self.like_strength), ("share", self.like_share)):
            if value and not self.by_query:
                raise UsageError(
                    f"like-{option} says how much like and unlike count: give one of them, too."
                )
        if self.like_strength is not None and not 0 <= self.like_strength <= 1:
            raise UsageError(f"like-strength {self.like_strength} is not from 0 to 1.")
        if self.like_share is not None and not 0 < self.like_share <= 1:
            raise UsageError(f"like-share {self.like_share} is not above 0 and at most 1.")
        unsaid = self.like_strength is None and self.like_share is None
        if self.by_query and unsaid and self.method is not Method.CORESET:
            raise UsageError(
                "like and unlike without like-share weigh frames, which works with the coreset "
                f"method only: with {self.method} give like-share."
            )

    @property
    def needs_typical(self) -> bool:
        """Whether it must be known how typical frames are."""
        named = {*self.minimum, *self.maximum, *self.prefer, *(one.column for one in self.balance)}
        said = re.search(rf"\b{TYPICAL}\b", self.where or "") is not None
        return self.skip_outliers > 0 or TYPICAL in named or said

    def _refuse_outliers(self) -> None:
        if not 0 <= self.skip_outliers < 1:
            raise UsageError(
                f"skip-outliers {self.skip_outliers} is not from 0 to below 1: it is the share of "
                "the frames to be left out."
            )
        if self.neighbours is not None and self.neighbours < 1:
            raise UsageError(f"neighbours {self.neighbours} is not at least 1.")
        if self.neighbours is not None and not self.needs_typical:
            raise UsageError(
                "neighbours says by how many of its nearest a frame is typical: ask for "
                "skip-outliers, or name typical in a limit, or leave it out."
            )

    def _of_largest_gap(self) -> dict[str, bool]:
        """Options that only the coreset has, and whether they are given."""
        return {
            "like-strength": bool(self.like_strength),
            "radius": self.budget.radius is not None,
            "prefer": bool(self.prefer),
            "prefer-sharp": self.prefer_sharp > 0,
            "sharpest-within": bool(self.sharpest_within),
            "name": self.name is not None,
            "drop-gone": self.drop_gone,
            "objects": self.objects,
        }

    def _of_greedy(self) -> dict[str, bool]:
        """The same of those that facility location has, too."""
        return {
            "min-per-video": self.min_per_video > 0,
            "max-per-video": self.max_per_video is not None,
            "preselected": self.preselected is not None,
            "balance": bool(self.balance),
        }

    def _refuse(self, options: Mapping[str, bool]) -> None:
        for option, is_given in options.items():
            if not is_given:
                continue
            alone = option in self._of_largest_gap()
            methods = "method" if alone else "and facility-location methods"
            raise UsageError(
                f"{option} works with the coreset {methods} only: leave it out, or do not ask "
                f"for {self.method}."
            )

    def _refuse_with_objects(self) -> None:
        """What takes a frame, or several, for what its own vector says of it."""
        given = {
            "sequence-length": (self.sequence_length > 1, "an object is in one frame"),
            "sharpest-within": (bool(self.sharpest_within), "another frame has other objects"),
            "preselected": (self.preselected is not None, "it names frames of any kind"),
            "name": (self.name is not None, "what is kept of a selection is of whole frames"),
        }
        for option, (is_given, why) in given.items():
            if is_given:
                raise UsageError(
                    f"{option} does not go with objects, for {why}: leave one of them out."
                )

    def _refuse_quality(self) -> None:
        for measure, least in self.minimum.items():
            most = self.maximum.get(measure)
            if most is not None and least > most:
                raise UsageError(
                    f"min {measure}={least:g} is above max {measure}={most:g}: no frame is both. "
                    "Where frames have several values, ask with where."
                )
        for column, strength in self.prefer.items():
            if not -1 <= strength <= 1 or strength == 0:
                raise UsageError(
                    f"prefer {column}:{strength:g} is not from -1 to 1, or 0: 0.3 prefers large "
                    "values, -0.3 small ones."
                )
        if self.prefer_sharp and "sharpness" in self.prefer:
            raise UsageError("prefer sharpness and prefer-sharp are the same: give one of them.")
        names = [balance.column for balance in self.balance]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"balance {name} is given twice: give one of them.")
        number = self.budget.n_samples is not None or self.budget.proportion is not None
        if self.balance and not number:
            raise UsageError(
                "balance shares out a number of frames: give n-samples or proportion, too."
            )
        if not 0 <= self.prefer_sharp <= 1:
            raise UsageError(f"prefer-sharp {self.prefer_sharp} is not from 0 to 1.")
        if not 0 <= (self.sharpest_within or 0.0) <= 2:
            raise UsageError(
                f"sharpest-within {self.sharpest_within} is not from 0 to 2, the range of "
                "distances between unit vectors."
            )

    def _refuse_shares(self) -> None:
        least, most = self.min_per_video, self.max_per_video
        if least < 0:
            raise UsageError(f"min-per-video {least} is below 0.")
        if most is not None and most < max(1, least):
            raise UsageError(
                f"max-per-video {most} is less than "
                + (f"min-per-video {least}." if least else "one frame.")
            )
        if self.sequence_length < 1:
            raise UsageError(f"sequence-length {self.sequence_length} is not at least 1.")
        if most is not None and most < self.sequence_length:
            raise UsageError(
                f"max-per-video {most} is less than one sequence of {self.sequence_length} "
                "frames: allow more, or ask for shorter sequences."
            )


def exact(value: float) -> Fraction:
    """The number that a person wrote: 0.29 of 100 is 29, which in binary it is not."""
    return Fraction(str(value))
