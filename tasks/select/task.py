"""Stage 3, select: choose frames, with the corpus spread over the workers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from dask.distributed import Client
from numpy.typing import NDArray

from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.query.on_dask import scores_on
from coreframe.tasks.query.vectors import let_go
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.choose import choose
from coreframe.tasks.select.derive import deriving
from coreframe.tasks.select.plan import plan_selection
from coreframe.tasks.select.result import Selection
from coreframe.tasks.store.store import Store


def choose_frames(
    store: Store, choice: Choice, device: str, cluster: str, tuning: Tuning = DEFAULT_TUNING
) -> Selection:
    """Choose frames by the method asked for; see `coreframe.tasks.select.choose`.

    Args:
        store: to choose from.
        choice: what is asked for.
        device: where workers keep tensors.
        cluster: the scheduler's address.
        tuning: how the coreset is found; it changes nothing of what is chosen.

    Raises:
        UsageError: this corpus cannot give what is asked for, or does not hold what is named.
    """

    @contextmanager
    def on_cluster(store: Store, rows: NDArray[np.int64], **units: Any) -> Iterator[DaskPartitions]:
        with Client(cluster) as client:
            yield DaskPartitions(client, store, rows, device=device, **units)

    def bar(rows: int) -> AbstractContextManager[Callable[[int], None]]:
        return stage_bar("typical", rows, "frames")

    plan = plan_selection(store, choice, deriving(scores_on(cluster), on_cluster, bar))
    if choice.by_query:
        let_go()
    with stage_bar("select", plan.frames, "frames") as advance:
        return choose(plan, on_cluster, advance, tuning)


select_stage = stage("select")(choose_frames)
