"""Decoding in a process of its own, which may crash or hang without harm to the notebook."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.report.job import FrameJob
from coreframe.tasks.video.apart import Apart, serve

TIMEOUT_S = 120.0
"""Without an answer for so long, the process counts as hung."""


class Whole(NamedTuple):
    """One frame that is asked for in full."""

    store: str
    source: str
    fingerprint: str
    frame_index: int
    digest: int


class Decoder:
    """One process that decodes frames of a store, started when the first is asked for."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._apart = Apart(__name__)

    def picture(
        self, store: str, source: str, fingerprint: str, frame_index: int, digest: int
    ) -> np.ndarray:
        """(height, width, 3) uint8 RGB of a frame, which must have its digest.

        Raises:
            CoreframeError: it cannot be had, or the process ended or gave no answer.
        """
        frame = f"frame {frame_index} of {source}"
        asked = Whole(store, source, fingerprint, frame_index, digest)
        try:
            (answer,) = self._apart.ask(asked, self.timeout_s)
        except TimeoutError as error:
            raise CoreframeError(
                f"{frame} did not come for {self.timeout_s:g} s: its decoder was ended."
            ) from error
        except EOFError as error:
            raise CoreframeError(f"decoding {frame} ended the process that did it.") from error
        if isinstance(answer, str):
            raise CoreframeError(f"{frame} cannot be had: {answer}")
        picture: np.ndarray = answer
        return picture

    def small_pictures(self, job: FrameJob) -> dict[int, bytes]:
        """Small WebP pictures of a job's rows; of those that come before anything goes wrong."""
        found: dict[int, bytes] = {}
        try:
            for row, picture in self._apart.ask(job, self.timeout_s):
                found[row] = picture
        except (TimeoutError, EOFError):
            pass  # as where a video cannot be read any more, the others are shown
        return found

    def close(self) -> None:
        """End the process; the next frame starts another."""
        self._apart.close()


def _answers(asked: Whole | FrameJob) -> Iterator[Any]:
    """A picture or why there is none; or rows with their small pictures."""
    from coreframe.tasks.report.job import shrunk
    from coreframe.tasks.store.decoding import recorded_frames
    from coreframe.tasks.store.store import Store
    from coreframe.tasks.video.pixels import upright_rgb

    if isinstance(asked, FrameJob):
        yield from shrunk(asked)
        return
    try:
        store, source, fingerprint, frame_index, digest = asked
        frames = recorded_frames(store, source, fingerprint, [frame_index], [digest])
        facts, _ = Store.open(store).read_facts_and_index(fingerprint)
        viewing = Store.open(store).settings.viewing.of(facts)
        _, frame = next(iter(frames))
        yield np.ascontiguousarray(upright_rgb(frame, viewing))
    except Exception as error:  # told where the frame was asked for
        yield str(error) or type(error).__name__


if __name__ == "__main__":
    serve(_answers)
