"""The numbers for Prometheus, read back as Prometheus reads them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from coreframe.flows.preflight import check_metrics_file
from coreframe.flows.prometheus import write_metrics
from coreframe.flows.record import last_good
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.seals import sealed_json
from coreframe.tasks.store.settings import RUNS
from coreframe.tasks.store.store import Store
from tests.stores import make_store

BEGAN = datetime(2026, 11, 27, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", np.eye(8, dtype=np.int16) * 4000, [5, 3])


def record(**more: Any) -> dict[str, Any]:
    return {
        "flow": "curate",
        "started": BEGAN.isoformat(),
        "outcome": "completed",
        "seconds": 12.5,
        "changes": {"new": {"count": 2, "first": ["a", "b"]}},
        "parameters": {},
        **more,
    }


def read(path: Path) -> dict[tuple[str, str], float]:
    """Values by the metric's name and its last label, that of a store and a flow aside."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            own = {k: v for k, v in sample.labels.items() if k not in ("store", "flow")}
            found[sample.name.removeprefix("coreframe_"), "".join(own.values())] = sample.value
    return found


def test_it_has_the_numbers_of_store_and_run(store: Store, tmp_path: Path) -> None:
    path, out = tmp_path / "curate.prom", tmp_path / "out"
    (out / "frames").mkdir(parents=True)
    (out / "frames" / "a.png").write_bytes(bytes(1000))
    counts = {"embedded_frames": 8, "selected_frames": 3, "written_files": 3}
    facts = {"counts": counts, "timings_s": {"embed": 3.5}, "parameters": {"out": str(out)}}
    write_metrics(str(path), store, record(**facts), BEGAN)
    found = read(path)
    on_disk = sum(file.stat().st_size for file in Path(store.path).rglob("*") if file.is_file())
    expected = {
        ("run_start_timestamp_seconds", ""): BEGAN.timestamp(),
        ("run_last_good_timestamp_seconds", ""): BEGAN.timestamp(),
        ("run_duration_seconds", ""): 12.5,
        ("run_outcome", "completed"): 1.0,
        ("run_outcome", "failed"): 0.0,
        ("run_stage_seconds", "embed"): 3.5,
        ("run_changed_videos", "new"): 2.0,
        ("run_embedded_frames", ""): 8.0,
        ("run_selected_frames", ""): 3.0,
        ("output_bytes", str(out)): 1000.0,
        ("store_videos", "ok"): 2.0,
        ("store_videos", "broken"): 0.0,
        ("store_frames", ""): 8.0,
        ("store_bytes", ""): float(on_disk),
    }
    assert expected.items() <= found.items()


def test_names_of_any_kind_are_labels(tmp_path: Path) -> None:
    place = tmp_path / 'a "quoted"\nstore \\ 雪'
    store = make_store(place, np.eye(2, dtype=np.int16) * 4000, [2])
    write_metrics(str(tmp_path / "a.prom"), store, record(), None)
    (family, *_) = text_string_to_metric_families((tmp_path / "a.prom").read_text())
    assert family.samples[0].labels == {"store": str(place), "flow": "curate"}


def test_a_run_with_warnings_and_a_failed_one(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    write_metrics(str(path), store, record(outcome="completed with warnings"), None)
    assert read(path)["run_outcome", "warned"] == 1.0
    write_metrics(str(path), store, record(outcome="failed"), None)
    assert read(path)["run_outcome", "failed"] == 1.0
    assert ("run_last_good_timestamp_seconds", "") not in read(path)


def test_a_store_that_cannot_be_read_and_a_folder_that_is_gone_are_warnings(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(store.path) / "catalogue.parquet").write_bytes(b"torn")
    write_metrics(str(tmp_path / "a.prom"), store, record(), None)
    assert read(tmp_path / "a.prom")["run_outcome", "completed"] == 1.0
    assert "lack what the store holds" in caplog.text
    write_metrics(str(tmp_path / "gone" / "a.prom"), store, record(), None)
    assert "cannot be written" in caplog.text


def test_the_last_good_run_is_the_last_of_its_flow_that_did_not_fail(store: Store) -> None:
    def left(hour: int, flow: str, outcome: str) -> None:
        name = f"{RUNS}/20261127T{hour:02d}0000-{flow}-0.json"
        known = {"outcome": outcome, "started": f"2026-11-27T{hour:02d}:00:00+00:00"}
        store.folder.write(name, sealed_json(name, known))

    assert last_good(store, "curate") is None
    left(1, "curate", "completed")
    left(2, "curate", "completed with warnings")
    left(3, "curate", "failed")
    left(4, "check", "completed")
    store.folder.write(f"{RUNS}/20261127T050000-curate-0.json", b"torn")
    found = last_good(store, "curate")
    assert found is not None
    assert found.hour == 2


def test_a_place_where_no_file_can_be_made_is_refused(tmp_path: Path) -> None:
    check_metrics_file(None)
    check_metrics_file(str(tmp_path / "a.prom"))
    with pytest.raises(UsageError, match=r"gone is no folder\. Name a file in the folder of the"):
        check_metrics_file(str(tmp_path / "gone" / "a.prom"))
