"""How many rows of each video, and of each class, a selection may still pick."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import Quota

Left = tuple[dict[int, int], ...]
"""Rows that may still be picked: of each video and, where there are classes, of each of these."""


class Limits:
    """The quotas of a selection as picks are made.

    While videos lack their least number they alone are picked from, and classes only count what
    they get by that. Then each class is given its part of the whole.

    Attributes:
        filling: whether videos lack their least number.
    """

    def __init__(self, quota: Quota, n: int) -> None:
        """Begin before the first pick.

        Args:
            quota: what is asked for.
            n: rows to be picked at most.
        """
        self._quota, self._n, self.filling = quota, n, quota.least > 0
        self._rows_of = Counter(quota.video.tolist())
        self._taken = Counter(quota.taken)
        self._of_class: list[int] = []
        """Centers of each class, and how many there are to be."""
        self._targets: list[int] = []
        if quota.classes is not None:
            self._of_class = list(quota.classes.taken)
        self._begin_phase()

    @property
    def left(self) -> Left | None:
        """See :data:`Left`; None when there is no limit now. Picks count it down."""
        quota = self._quota
        return self._left if self.filling or quota.most is not None or quota.classes else None

    def closed(self) -> NDArray[np.int32] | None:
        """(c,) groups of which no row may be picked now; None when there is no limit."""
        if self.left is None:
            return None
        shut = np.zeros(len(self._quota.group_labels), bool)
        for labels, left in zip(self._quota.group_labels.T, self.left, strict=True):
            shut |= np.isin(labels, [label for label, rows in left.items() if rows <= 0])
        return np.flatnonzero(shut).astype(np.int32)

    def take(self, rows: Sequence[int]) -> None:
        """Take note of picks."""
        video, *of_class = self._quota.labels_of(np.array(rows, np.int64))
        self._n -= len(rows)
        self._taken.update(video.tolist())
        for one in (label for labels in of_class for label in labels.tolist()):
            self._of_class[one] += 1
        self._count_left()
        if self.filling and all(left <= 0 for left in self._left[0].values()):
            self.stop_filling()

    def stop_filling(self) -> bool:
        """End the phase in which videos get their least number; False when it was over."""
        was, self.filling = self.filling, False
        if was:
            self._begin_phase()
        return was

    def _begin_phase(self) -> None:
        classes = self._quota.classes
        if classes is not None:
            self._targets = classes.targets(self._n, self._of_class)
        self._count_left()

    def _count_left(self) -> None:
        quota, of_video = self._quota, {}
        for video, rows in self._rows_of.items():
            limit = min(quota.least, rows) if self.filling else quota.most
            of_video[video] = rows if limit is None else limit - self._taken[video]
        self._left: Left = (of_video,)
        if quota.classes is not None:
            pairs = zip(self._targets, self._of_class, strict=True)
            left = [self._n if self.filling else target - taken for target, taken in pairs]
            self._left = of_video, dict(enumerate(left))
