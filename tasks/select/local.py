"""Choose frames in this process: for notebooks."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.choose import choose, plan_selection
from coreframe.tasks.select.result import Selection
from coreframe.tasks.store.store import Store


def choose_here(
    store: Store, choice: Choice, device: str = "auto", memory_limit_bytes: int | None = None
) -> Selection:
    """Choose the frames that a cluster would, to the bit; see `coreframe.tasks.select.choose`.

    Args:
        store: to choose from.
        choice: what is asked for.
        device: where to keep tensors: ``auto``, ``cpu`` or ``cuda``.
        memory_limit_bytes: of this process; see :meth:`LocalPartitions.from_store`.

    Raises:
        UsageError: this corpus cannot give what is asked for, or does not hold what is named.
    """

    def here(
        store: Store, rows: NDArray[np.int64], **units: Any
    ) -> AbstractContextManager[LocalPartitions]:
        return nullcontext(
            LocalPartitions.from_store(
                store, rows, device=device, memory_limit_bytes=memory_limit_bytes, **units
            )
        )

    return choose(plan_selection(store, choice), here)
