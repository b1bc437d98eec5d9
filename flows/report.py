"""The ``report`` flow: make the page of a selection again, alone or beside others."""

from pathlib import Path

from prefect import flow

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute, Selecting
from coreframe.flows.preflight import check_output
from coreframe.tasks.report.task import page_stage
from coreframe.tasks.store.store import Store


@flow(name="report", flow_run_name="report-on-{out}")
def report(
    store: str,
    out: str,
    others: list[str] | None = None,
    compute: Compute = Compute(),  # noqa: B008 - Prefect shows the default in its form
) -> None:
    """Make ``report.html`` and ``plots/`` again; nothing is selected.

    Args:
        store: what the selection was chosen from.
        out: its output folder.
        others: output folders of other selections, to compare it with.
        compute: where the work is done.
    """
    opened = Store.open(store)
    folder = check_output(opened, out, others or [])
    others_out = [Path(other) for other in others or []]
    choice = Selecting(**folder.run.parameters.selecting).choice()
    with open_cluster(compute) as cluster:
        page_stage(opened, choice, Path(out).resolve(), others_out, compute.device, cluster)
