"""What one worker does with the frames that it decoded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from coreframe.tasks.embed import job
from coreframe.tasks.embed.prepare import PreparedFrame
from coreframe.tasks.store.frames import FrameRecord


def frame(number: int) -> PreparedFrame:
    image = np.full((2, 2, 3), number, np.uint8)
    return PreparedFrame(number, image, number, False, 0.0, 0.0, on_gpu=number % 2 == 0)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_a_batch_is_begun_before_the_one_before_it_is_waited_for(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def begin(_: Any, images: list[np.ndarray], __: Any) -> Callable[[], np.ndarray]:
        first = int(images[0][0, 0, 0])
        said.append(f"begin {first}")

        def wait() -> np.ndarray:
            said.append(f"wait {first}")
            return np.array([[image[0, 0, 0]] for image in images], np.int16)

        return wait

    monkeypatch.setattr(job, "begin_embedding", begin)
    batches = job._Batches(None, torch.device("cpu"), 2)  # type: ignore[arg-type]
    records = [FrameRecord.without_frame(number, 0, number, 0.0) for number in range(count)]
    for number, record in enumerate(records):
        batches.add(record, frame(number))
    done = batches.close()
    assert [one.record.row for one in done] == list(range(count))
    assert [int(one.vector[0]) for one in done if one.vector is not None] == list(range(count))
    assert [one.on_gpu for one in done] == [number % 2 == 0 for number in range(count)]
    if count == 5:
        assert said == ["begin 0", "begin 2", "wait 0", "begin 4", "wait 2", "wait 4"]
