"""What ``run.json`` and ``metrics.json`` hold, made by hand for tests that need some."""

from typing import Any

from coreframe.flows.record import versions
from coreframe.tasks.kcenter.goal import StoppedBy
from coreframe.tasks.output.metrics import MethodMetrics, Methods, Metrics, StorageMetrics
from coreframe.tasks.output.run import Counts, Run, RunParameters
from coreframe.tasks.select.choice import Method
from coreframe.tasks.store.store import Store


def make_run(store: Store, counts: dict[str, Any], **parameters: Any) -> Run:
    """Of a selection from a store, with such counts; those not given are 0."""
    asked = {
        "store": store.path,
        "out": "out",
        "selecting": {},
        "picture": {"format": "png"},
        "compute": {},
    }
    every = dict.fromkeys(Counts.model_fields, 0) | {"files": {}, "stopped_by": StoppedBy.N}
    return Run(
        parameters=RunParameters(**asked | parameters),
        command="coreframe select --store <store>",
        store=store.settings,
        corpus=store.read_catalogue().state(),
        changes={},
        troubles=[],
        more_troubles=0,
        versions=versions(),
        timings_s={"select": 1.0},
        counts=Counts(**every | counts),
        failures=[],
    )


def make_metrics(rows: list[int], sequence_length: int = 1) -> Metrics:
    """Of a coreset of these rows, with numbers that mean nothing."""
    measured = MethodMetrics(
        n=len(rows) // sequence_length,
        l2_mean=0.5,
        l2_min=0.25,
        l2_max=0.75,
        l2_p10=0.3,
        l2_p90=0.7,
        l2_counts=[0, 3],
        exact=True,
        coverage_radius=0.4,
        coverage_mean=0.2,
        rows=rows,
    )
    return Metrics(
        methods=Methods(original=measured, fixed_rate=measured, random=measured, coreset=measured),
        selected=Method.CORESET,
        sequence_length=sequence_length,
        l2_bin=0.042,
        knee=None,
        storage=StorageMetrics(
            source_videos_bytes=1000,
            all_frames_bytes=9000,
            all_frames=90,
            all_frames_estimated_from=32,
            all_frames_exact=False,
            kept_frames_bytes=900,
            kept_frames=9,
            reduction_factor=10.0,
        ),
    )
