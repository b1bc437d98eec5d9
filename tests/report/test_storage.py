"""The storage table: like is compared with like, also of what earlier versions measured."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreframe.tasks.output.metrics import StorageMetrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.report.storage import storage_sentence, storage_table
from tests.output.made import make_metrics, make_run
from tests.stores import make_store

PNG = {"format": "png", "quality": 95, "resize": None}
WEBP = {"format": "webp", "quality": 80, "resize": "640x"}


def run_of(folder: Path, picture: dict[str, Any], crop: str = "", **counts: int) -> Run:
    store = make_store(folder / "store", np.eye(4, dtype=np.int16), [4])
    run = make_run(store, counts, picture=picture)
    return run.model_copy(update={"store": replace(run.store, crop=crop)})


def shown(run: Run, storage: StorageMetrics) -> dict[str, str]:
    return {row["what"]: row["size"] for row in storage_table(run, storage)}


def test_all_frames_are_as_the_chosen_ones_are(tmp_path: Path) -> None:
    run, storage = run_of(tmp_path, WEBP, "40:40:5:5"), make_metrics([1]).storage
    way = "WebP of quality 80, cropped to 40:40:5:5, resized to 640x"
    assert shown(run, storage) == {
        "source videos": "1.00 kB",
        f"all 90 sampled frames as {way}": "about 9.00 kB",
        f"kept: 9 frames as {way}": "900 B",
    }
    assert storage_sentence(run, storage) == (
        f"The kept frames take 10 times less than all frames as {way} (estimated from 32 frames at "
        "an even stride)."
    )


def test_images_of_earlier_runs_are_told(tmp_path: Path) -> None:
    run = run_of(tmp_path, PNG, absent_frames=3, absent_images=1)
    told = "kept: 9 frames as PNG; 2 of them, of videos that are gone, as an earlier run wrote them"
    assert told in shown(run, make_metrics([1]).storage)


EARLIER = {"all_frames_bytes": None, "all_frames_png_bytes": 9000, "all_frames_jpg_bytes": 4500}


@pytest.mark.parametrize(
    ("picture", "crop", "factor"),
    [
        (PNG, "", "10"),
        (PNG | {"format": "jpg"}, "", "5.0"),
        (PNG | {"format": "jpg", "quality": 50}, "", None),
        (PNG | {"resize": "40x"}, "", None),
        (PNG, "40:40:5:5", None),
        (WEBP, "", None),
    ],
)
def test_what_earlier_versions_measured_is_compared_where_it_is_alike(
    picture: dict[str, Any], crop: str, factor: str | None, tmp_path: Path
) -> None:
    """Whole pictures as PNG and JPEG, whatever the chosen frames were written as."""
    run = run_of(tmp_path, picture, crop)
    storage = make_metrics([1]).storage.model_copy(update=EARLIER)
    sentence = storage_sentence(run, storage)
    assert len(shown(run, storage)) == (2 if factor is None else 3)
    assert bool(sentence) == (factor is not None)
    if factor is not None:
        assert sentence.startswith(f"The kept frames take {factor} times less than all frames as ")


@pytest.mark.parametrize("kept", [0, 8900, 9100])
def test_nothing_is_said_where_nothing_is_kept_or_saved(kept: int, tmp_path: Path) -> None:
    storage = make_metrics([1]).storage.model_copy(update={"kept_frames_bytes": kept})
    assert storage_sentence(run_of(tmp_path, PNG), storage) == ""
