"""What a report shows in addition to the numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Histogram:
    """How many have which value, in bins of equal width."""

    low: float
    high: float
    counts: list[int]
    """Of each bin; what is beyond an end counts in the bin there."""

    @classmethod
    def of(cls, values: np.ndarray, bins: int, most: float) -> "Histogram":
        """Of (n,) values, from the least of them to below which a share of them is."""
        low, high = float(values.min()), float(np.quantile(values, most))
        edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
        places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
        return cls(low, float(edges[-1]), np.bincount(places, minlength=bins).tolist())


def picture_key(row: int, object: int) -> int:
    """By what the picture is known of a frame, or of an object in it if its number is not -1."""
    return row if object < 0 else -1 - object


@dataclass(frozen=True)
class Evidence:
    """What is known of one selection in one store.

    A unit is a frame, or a sequence under its first frame. ``pick`` is a chosen unit's place in
    pick order, ``video`` a catalogue number, ``name`` that video's name.

    Attributes:
        units: of the corpus that show something.
        stands_for: (c,) int64, other units of the corpus whose nearest chosen unit is this one, in
            pick order.
        dropped: units that were not chosen, a row each: ``pick`` (the nearest chosen unit),
            ``kind``, ``row``, ``video``, ``name``, ``frame_index``, ``time_s``, ``distance``.
            Kinds are ``near`` and ``far``, the nearest and the farthest of those that each of the
            chosen units stands for that stand for most; and ``farthest``, the farthest of all, one
            of each chosen unit. Where frames are chosen by the objects in them, these are
            objects, their numbers in ``object``, and in ``beside`` that of the nearest chosen one;
            else these are -1.
        flat: some of the units that were left out because they show nothing, evenly over the
            corpus: ``row``, ``video``, ``name``, ``frame_index``, ``time_s``.
        odd: some of the units that were skipped because nothing resembles them, the least typical
            first: ``row``, ``video``, ``name``, ``frame_index``, ``time_s``, ``typical``.
        graded: units along the distribution of each measure: ``measure``, ``below`` (the share of
            units that measure less), ``value``; ``row``, ``video``, ``name``, ``frame_index``,
            ``time_s``.
        histograms: units by value, of each measure.
        mapped: units on the map: ``row``, ``name``, ``time_s``, ``pick``, ``distance``,
            ``chosen``, and ``PCA x``, ``PCA y``, as for every projection.
        variance: share of the variance that the two axes of the PCA show.
        spans: of each video of the corpus, by number: ``sampled``, ``first_s``, ``last_s``, and
            ``sharpest``, the least sharpness of its sharpest tenth.
        rivals: frames that ``fixed_rate`` and ``random`` choose: ``video``, ``time_s``.
        missed: of a coreset, chosen units that lie far from all that each of the ``rivals`` (column
            ``method``) chooses, and from one another: ``pick``, ``of_video``, ``of_time_s``; and of
            the nearest that it does choose: ``row``, ``video``, ``name``, ``frame_index``,
            ``time_s``, ``distance``.
        sheets: of what each of the ``rivals`` (column ``method``) chooses at most 48 units evenly:
            ``row``, ``video``, ``name``, ``frame_index``, ``time_s``; and ``again``, whether it is
            no different from an earlier one of the same sheet.
        alike: (pictured,) int64, these picks in an order in which the most alike are neighbours.
        marks: of these picks, whether each is ``soft`` or ``plain``, see
            :mod:`coreframe.tasks.report.marks`.
        images: small WebP pictures of chosen units' first frames, by file.
        pictured: of how many chosen units, the first in pick order, the pictures fit in the page.
        frames: small WebP pictures of the first frames of units that were not chosen, and of
            objects, by :func:`picture_key`.
    """

    units: int
    stands_for: np.ndarray
    dropped: pd.DataFrame
    flat: pd.DataFrame
    odd: pd.DataFrame
    graded: pd.DataFrame
    histograms: dict[str, "Histogram"]
    mapped: pd.DataFrame
    variance: float
    spans: pd.DataFrame
    rivals: dict[str, pd.DataFrame]
    missed: pd.DataFrame
    sheets: pd.DataFrame
    alike: np.ndarray
    marks: pd.DataFrame
    images: dict[str, bytes]
    pictured: int
    frames: dict[int, bytes]

    @property
    def planes(self) -> list[str]:
        """The projections that the map has."""
        return [str(name).removesuffix(" x") for name in self.mapped if str(name).endswith(" x")]
