"""The numbers of a store and of its last run, as a file that Prometheus' node exporter reads.

A run is no server that lives on to be asked: it leaves a file in the folder that the exporter's
textfile collector reads. Every flow on every store needs a file of its own there.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from coreframe.flows.logs import LOGGER
from coreframe.flows.outcome import Outcome
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.store import Store

logger = logging.getLogger(LOGGER)


def write_metrics(
    path: str, store: Store, record: Mapping[str, Any], last_good: datetime | None
) -> None:
    """Write the file anew, so that a reader sees the old one or the new one.

    A file that cannot be written is a warning in the logs: the run did its work all the same.

    Args:
        path: the file, ending in ``.prom``.
        store: the store.
        record: of the run; see :func:`coreframe.flows.record.recorded`.
        last_good: when the last run of its flow began that came to its end.
    """
    registry = CollectorRegistry()
    _of_run(registry, store.path, record, last_good)
    try:
        _of_store(registry, store, str(record["flow"]))
    except (CoreframeError, OSError) as error:
        logger.warning("the metrics in %s lack what the store holds: %s", path, error)
    try:
        write_to_textfile(path, registry)
    except OSError as error:
        logger.warning("the metrics cannot be written to %s: %s", path, error.strerror)


def _of_run(
    registry: CollectorRegistry,
    store: str,
    record: Mapping[str, Any],
    last_good: datetime | None,
) -> None:
    labels = {"store": store, "flow": str(record["flow"])}

    def gauge(name: str, text: str, values: Mapping[str, float], label: str = "") -> None:
        _gauge(registry, f"run_{name}", text, labels, values, label)

    began = datetime.fromisoformat(record["started"]).timestamp()
    gauge("start_timestamp_seconds", "When the last run began.", {"": began})
    gauge("duration_seconds", "How long the last run took.", {"": record["seconds"]})
    outcomes = {one.name.lower(): float(one == record["outcome"]) for one in Outcome}
    gauge("outcome", "1 for how the last run ended, 0 for the others.", outcomes, "outcome")
    if last_good is not None:
        text = "When the last run began that did not fail."
        gauge("last_good_timestamp_seconds", text, {"": last_good.timestamp()})
    seconds = record.get("timings_s", {})
    gauge("stage_seconds", "Of the last run, by stage.", seconds, "stage")
    changes = {kind: found["count"] for kind, found in record["changes"].items()}
    gauge("changed_videos", "Since the run before, by what happened.", changes, "change")
    counts = record.get("counts", {})
    for name, text in {
        "embedded_frames": "Embedded by the last run.",
        "selected_frames": "Selected in all by the last run.",
        "written_files": "Images that the last run left in its output folder.",
    }.items():
        if name in counts:
            gauge(name, text, {"": counts[name]})
    out = record["parameters"].get("out")
    if out is not None:
        text = "Size of the output folder."
        folder = open_folder(out)
        _gauge(registry, "output_bytes", text, {"out": folder.name}, {"": folder.size_bytes()})


def _of_store(registry: CollectorRegistry, store: Store, flow: str) -> None:
    """Facts of the store itself, by the flow that saw them: its files are read side by side.

    Raises:
        CoreframeError: it cannot be read.
    """
    labels = {"store": store.path, "flow": flow}
    videos = store.read_catalogue().videos
    states = {str(state): 0.0 for state in VideoState}
    states |= {str(state): count for state, count in Counter(v.state for v in videos).items()}
    text = "Videos of the catalogue, by state."
    _gauge(registry, "store_videos", text, labels, states, "state")
    frames = sum(video.decoded for video in videos if video.active)
    _gauge(registry, "store_frames", "Embedded frames of the corpus.", labels, {"": frames})
    size = store.folder.size_bytes()
    _gauge(registry, "store_bytes", "Size of the store.", labels, {"": size})


def _gauge(
    registry: CollectorRegistry,
    name: str,
    text: str,
    labels: Mapping[str, str],
    values: Mapping[str, float],
    label: str = "",
) -> None:
    """Add a gauge with one value, or with one for each value of a further label."""
    names = [*labels, *([label] if label else [])]
    made = Gauge(f"coreframe_{name}", text, names, registry=registry)
    for key, value in values.items():
        made.labels(*labels.values(), *([key] if label else [])).set(value)
