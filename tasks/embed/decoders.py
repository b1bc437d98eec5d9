"""Who decodes a part: the GPU's decoder or a CPU core, by what they were seen to do.

A GPU has few decoders, and a process many threads. A thread takes the GPU while there is a place
and the GPU is the faster of the two for whoever is at work there, so both are busy: the more share
the GPU's decoders, the slower each becomes, until CPU cores do as well.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from coreframe.tasks.device import Decoder
from coreframe.tasks.gpu_video.swscale import Siting

PLACES = 16
"""Streams decoded at once by a GPU: an H200 gave 2,304 frames/s of 1080p with eight, 2,783 with
sixteen."""

TRIED_AGAIN = 16
"""Every so many parts the slower of the two is tried, which may have become the faster."""

LATEST_SHARE = 0.25
"""Of a rate that is kept, what the last part counts."""

FAULTS_IN_A_ROW = 3
"""Parts that fail on the GPU one after the other, from which on a process leaves it alone."""


T = TypeVar("T")


@dataclass
class Turn:
    """One part's decoding, by one of the two."""

    on_gpu: bool
    frames: int = 0
    seconds: float = 0.0

    def timed(self, frames: Iterator[T]) -> Iterator[T]:
        """The same frames; what they take to come is measured."""
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            self.seconds += time.perf_counter() - start
            if frame is None:
                return
            self.frames += 1
            yield frame


@dataclass
class Decoders:
    """Those of one process; its threads share it."""

    sitings: dict[str, Siting] = field(default_factory=dict)
    """Fingerprints of the files whose frames were seen to be the same from both."""
    _refused: dict[str, str] = field(default_factory=dict)
    """Fingerprint -> why CPU cores decode it."""
    _rates: dict[bool, float] = field(default_factory=dict)
    """On the GPU or not -> pixels a second of one thread."""
    _taken: int = 0
    _turns: int = 0
    _faults: int = 0
    """On the GPU, one after the other."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, fingerprint: str) -> str:
        """Why the GPU cannot decode a file; empty where nothing is known of that."""
        if self._faults >= FAULTS_IN_A_ROW:
            return f"the GPU's decoder failed {FAULTS_IN_A_ROW} times in a row"
        return self._refused.get(fingerprint, "")

    def refuse(self, fingerprint: str, reason: str) -> None:
        """Let CPU cores decode a file from now on."""
        self._refused[fingerprint] = reason

    @contextmanager
    def turn(
        self, pixels: int, wanted: Decoder = Decoder.AUTO, processes: int = 1
    ) -> Iterator[Turn]:
        """Say who decodes a part that either can, and learn from it.

        Args:
            pixels: of a frame.
            wanted: who is to.
            processes: that share the GPU, and its places.
        """
        places = max(1, PLACES // processes)
        with self._lock:
            self._turns += 1
            prefers = wanted == Decoder.GPU or (wanted == Decoder.AUTO and self._prefers_gpu())
            turn = Turn(on_gpu=prefers and self._taken < places)
            self._taken += turn.on_gpu
        try:
            yield turn
        finally:
            with self._lock:
                self._taken -= turn.on_gpu
                if turn.frames and turn.seconds:
                    self._learn(turn.on_gpu, pixels * turn.frames / turn.seconds)

    def failed(self) -> None:
        """Note that the GPU failed in a turn that it had."""
        with self._lock:
            self._faults += 1

    def succeeded(self) -> None:
        """Note that it did not."""
        with self._lock:
            self._faults = 0

    def _learn(self, on_gpu: bool, rate: float) -> None:
        before = self._rates.get(on_gpu, rate)
        self._rates[on_gpu] = before + LATEST_SHARE * (rate - before)

    def _prefers_gpu(self) -> bool:
        gpu, cpu = self._rates.get(True), self._rates.get(False)
        if gpu is None:
            return True
        if cpu is None:
            return False
        return (gpu >= cpu) != (self._turns % TRIED_AGAIN == 0)


DECODERS = Decoders()
"""Those of this process."""
