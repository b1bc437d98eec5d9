"""The ``report`` flow: make the page of a selection again, alone or beside others."""

from pathlib import Path

from prefect import flow

from coreframe.flows.artifacts import show_page
from coreframe.flows.choosing import Selecting
from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.flows.preflight import check_output
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import OtherPaths, PageUrl, SelectedPath, StorePath
from coreframe.tasks import status
from coreframe.tasks.report.task import page_stage
from coreframe.tasks.store.store import Store


@flow(name="report", flow_run_name=begun_name)
def report(
    store: StorePath,
    out: SelectedPath,
    others: OtherPaths = [],  # noqa: B006 - nobody writes to it
    compute: Compute = Compute(),  # noqa: B008 - Prefect shows the default in its form
    page_url: PageUrl = None,
) -> None:
    """Make ``report.html`` and ``plots/`` again; nothing is selected."""
    opened = Store.open(store)
    folder = check_output(opened, out, others)
    others_out = [Path(other) for other in others]
    choice = Selecting(**folder.run.parameters.selecting).choice()
    with open_cluster(compute) as cluster:
        status.show("drawing the page")
        page_stage(opened, choice, Path(out).resolve(), others_out, compute.device, cluster)
    show_page(Path(out), page_url)
