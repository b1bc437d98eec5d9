"""Choose frames in this process: for notebooks."""

from functools import partial

from coreframe.tasks.kcenter.local import local_partitions
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.choose import choose
from coreframe.tasks.select.derive import deriving
from coreframe.tasks.select.plan import plan_selection
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
        memory_limit_bytes: of this process; see `coreframe.tasks.kcenter.local`.

    Raises:
        UsageError: this corpus cannot give what is asked for, or does not hold what is named.
    """
    here = partial(local_partitions, device=device, memory_limit_bytes=memory_limit_bytes)
    return choose(plan_selection(store, choice, deriving(partitions_of=here)), here)
