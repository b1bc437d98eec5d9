"""The ``objects`` flow: embed what is in boxes that people give."""

from dataclasses import asdict
from typing import Any

from prefect import flow

from coreframe.flows.artifacts import show_quarantined
from coreframe.flows.boxes import Boxes
from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.flows.preflight import check_boxes, check_metrics_file, follow_store
from coreframe.flows.record import ended, recorded, timed
from coreframe.flows.run_names import begun_name
from coreframe.flows.values import MetricsFile, StorePath, Wait
from coreframe.tasks.export.task import take_out
from coreframe.tasks.forget.task import complete
from coreframe.tasks.objects.matching import Skip
from coreframe.tasks.objects.task import ObjectCounts, objects_stage
from coreframe.tasks.store.store import Store


@flow(name="objects", flow_run_name=begun_name)
def objects(
    store: StorePath,
    boxes: Boxes = Boxes(),  # noqa: B008 - Prefect shows the default in its form
    compute: Compute = Compute(),  # noqa: B008
    wait: Wait = 0.0,
    metrics_file: MetricsFile = None,
) -> dict[str, Any]:
    """Embed the objects in boxes of frames that the store holds."""
    opened = Store.open(store)
    check_boxes(boxes.files, boxes.replace)
    check_metrics_file(metrics_file)
    spec = compute.embedder(follow_store(store, boxes.ingestion(), compute))
    timings: dict[str, float] = {}
    parameters = {"store": store, "boxes": boxes.model_dump(), "compute": compute.model_dump()}
    with recorded(opened, "objects", parameters, wait, metrics_file) as record:
        complete(opened)
        with open_cluster(compute) as cluster, timed(timings, "objects"):
            found = objects_stage(opened, boxes.files, spec, cluster, afresh=boxes.replace)
        record["warnings"] = _warnings(opened, found)
        if found.faults:
            take_out(opened, found.faults)
            show_quarantined(opened, opened.read_catalogue().videos)
        result = {"counts": _counts(found), "timings_s": timings}
        record.update(result)
    return ended(result, record["warnings"])


def _counts(found: ObjectCounts) -> dict[str, Any]:
    skipped = {str(kind): count for kind, count in found.skipped.count.items()}
    facts = asdict(found)
    own = {f"{name}_objects": facts[name] for name in ("embedded", "small", "pending")}
    return own | {"skipped_boxes": skipped, "faulty_videos": len(found.faults)}


def _warnings(store: Store, found: ObjectCounts) -> list[str]:
    """What of the boxes was left out, and which videos did not give their frames."""
    videos = store.read_catalogue().videos
    told = found.skipped.sentences(but=Skip.KNOWN)
    for number, fault in sorted(found.faults.items()):
        told.append(f"{videos[number].path} is taken out: {fault.reason}")
    told += found.unreachable[:1]
    return told
