"""Decoding in a process of its own, which may crash or hang without harm to the notebook."""

import subprocess
import sys
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from coreframe.tasks.errors import CoreframeError

TIMEOUT_S = 120.0
"""Without an answer for so long, the process counts as hung."""


class Decoder:
    """One process that decodes frames of a store, started when the first is asked for."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def picture(
        self, store: str, source: str, fingerprint: str, frame_index: int, digest: int
    ) -> np.ndarray:
        """(height, width, 3) uint8 RGB of a frame, which must have its digest.

        Raises:
            CoreframeError: it cannot be had, or the process ended or gave no answer.
        """
        connection = self._connected()
        frame = f"frame {frame_index} of {source}"
        try:
            connection.send((store, source, fingerprint, frame_index, digest))
            if not connection.poll(self.timeout_s):
                self.close()
                raise CoreframeError(
                    f"{frame} did not come for {self.timeout_s:g} s: its decoder was ended."
                )
            answer = connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise CoreframeError(f"decoding {frame} ended the process that did it.") from error
        if isinstance(answer, str):
            raise CoreframeError(f"{frame} cannot be had: {answer}")
        picture: np.ndarray = answer
        return picture

    def close(self) -> None:
        """End the process; the next frame starts another."""
        if self._process is not None and self._connection is not None:
            _end(self._process, self._connection)
        self._process = self._connection = None

    def _connected(self) -> "Connection[Any, Any]":
        if self._connection is None:
            ours, theirs = Pipe()
            # by its module's name: a script that asks need not be importable
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            self._connection = ours
            weakref.finalize(self, _end, self._process, ours)
        return self._connection


def _end(process: "subprocess.Popen[bytes]", connection: "Connection[Any, Any]") -> None:
    connection.close()
    process.kill()
    process.wait()


def serve(connection: "Connection[Any, Any]") -> None:
    """Answer with a picture, or with why there is none, until the other side is gone."""
    from coreframe.tasks.store.decoding import recorded_frames
    from coreframe.tasks.store.store import Store
    from coreframe.tasks.video.pixels import upright_rgb

    while True:
        try:
            store, source, fingerprint, frame_index, digest = connection.recv()
        except EOFError:
            return
        try:
            frames = recorded_frames(store, source, fingerprint, [frame_index], [digest])
            facts, _ = Store.open(store).read_facts_and_index(fingerprint)
            viewing = Store.open(store).settings.viewing.of(facts)
            _, frame = next(iter(frames))
            answer: Any = np.ascontiguousarray(upright_rgb(frame, viewing))
        except Exception as error:  # told where the frame was asked for
            answer = str(error) or type(error).__name__
        connection.send(answer)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
