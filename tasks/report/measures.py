"""When a corpus's frames are, and how sharp and bright: what the page has of frames tables."""

import numpy as np
import pandas as pd

from coreframe.tasks.report.evidence import Histogram
from coreframe.tasks.report.marks import SHARPEST
from coreframe.tasks.select.units import Units

SHARES = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Of units that measure less than one that is shown: closer where limits are set."""

MEASURES = ("luminance", "sharpness")
"""Of every frame, for limits to be found by."""

BARS, MOST_SHOWN = 60, 0.995
"""Bins of a measure's histogram, and up to which share of the units it reaches."""


def spans_and_measures(
    corpus: pd.DataFrame, units: Units
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Histogram]]:
    """Of :class:`Evidence` the spans, what is graded, the histograms."""
    times = corpus.groupby("video")["time_s"]
    spans = pd.DataFrame({"sampled": times.size(), "first_s": times.min(), "last_s": times.max()})
    spans["sharpest"] = corpus.groupby("video")["sharpness"].quantile(SHARPEST)
    graded, histograms = _graded(corpus, units.measured)
    return spans, graded, histograms


def _graded(corpus: pd.DataFrame, rows: np.ndarray) -> tuple[pd.DataFrame, dict[str, Histogram]]:
    """Of :attr:`Evidence.graded` what frames tables tell, and :attr:`Evidence.histograms`.

    Args:
        corpus: frames in row order, with all measures.
        rows: (u,) int64 ascending, first rows of units.
    """
    at = np.searchsorted(corpus["row"].to_numpy(), rows)
    if not len(rows):
        return pd.DataFrame({"measure": [], "below": [], "value": [], "row": rows}), {}
    tables, histograms = [], {}
    for measure in MEASURES:
        values = corpus[measure].to_numpy()[at]
        places = np.rint(np.array(SHARES) * (len(values) - 1)).astype(int)
        some = np.argsort(values, kind="stable")[np.unique(places)]
        below = np.searchsorted(np.sort(values), values[some]) / len(values)
        table = {"measure": measure, "below": below, "value": values[some], "row": rows[some]}
        tables.append(pd.DataFrame(table))
        histograms[measure] = Histogram.of(values, BARS, MOST_SHOWN)
    return pd.concat(tables, ignore_index=True), histograms
