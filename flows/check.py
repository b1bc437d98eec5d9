"""The ``check`` flow: verify a store against what was committed, and repair what can be."""

from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from prefect import flow

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.flows.preflight import check_metrics_file
from coreframe.flows.record import recorded, timed
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import MetricsFile, Repair, StorePath, Wait
from coreframe.tasks.check.files import open_to_check
from coreframe.tasks.check.task import check_stage
from coreframe.tasks.errors import CoreframeError, ReadOnlyError


@flow(name="check", flow_run_name=begun_name)
def check(
    store: StorePath,
    repair: Repair = False,
    compute: Compute = Compute(),  # noqa: B008 - Prefect shows the default in its form
    wait: Wait = 0.0,
    metrics_file: MetricsFile = None,
) -> dict[str, Any]:
    """Compare every block with its commit. With ``repair``, the next run embeds anew what is bad.

    A store that may only be read is checked as well, while others may write to it; of that run it
    keeps no record.

    Raises:
        CoreframeError: something is wrong, and nothing was repaired.
    """
    opened = open_to_check(store)
    check_metrics_file(metrics_file)
    timings: dict[str, float] = {}
    parameters = {"store": store, "repair": repair, "compute": compute.model_dump()}
    with ExitStack() as stack:
        record: dict[str, Any] = {}
        try:
            record = stack.enter_context(recorded(opened, "check", parameters, wait, metrics_file))
        except ReadOnlyError:
            if repair:
                raise
        with open_cluster(compute) as cluster, timed(timings, "check"):
            checked = check_stage(opened, cluster, repair=repair)
        found = asdict(checked) | {"sound": checked.sound}
        record |= {"counts": found, "timings_s": timings}
        if not checked.sound and not repair:
            raise CoreframeError(
                f"the store {store} is damaged: {'; '.join(checked.described())}. Repair it with "
                f"`coreframe check --store {store} --repair`, then ingest again."
            )
        if checked.lost:
            raise CoreframeError(f"all else is mended, but this is not: {' '.join(checked.lost)}")
    return found | {"described": checked.described()}
