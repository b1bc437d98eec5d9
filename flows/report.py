"""The ``report`` flow: make the page of a selection again, alone or beside others."""

from pathlib import Path

from prefect import flow

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute, Selecting
from coreframe.flows.preflight import check_written
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
        others: output folders of other selections, shown beside it.
        compute: where the work is done.
    """
    opened = Store.open(store)
    written = check_written(opened, out, others or [])
    folders = [Path(other) for other in others or []]
    choice = Selecting(**written.run["parameters"]["selecting"]).choice()
    with open_cluster(compute) as cluster:
        page_stage(opened, choice, Path(out).resolve(), folders, compute.device, cluster)
