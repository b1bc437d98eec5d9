"""What the sections of `gpu_check` share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass
class Check:
    """Where to run, and how much of it."""

    device: torch.device
    scale: float
    ceilings: dict[str, float]

    def many(self, count: int, least: int = 1) -> int:
        return max(least, int(count * self.scale))

    def seconds(self, function: Callable[[], Any], repeats: int = 5) -> float:
        """Median, after one run to warm up."""
        function()
        times = []
        for _ in range(repeats):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Differs(AssertionError):
    """The device does not give what the CPU gives."""


def same(found: Any, expected: Any, what: str) -> None:
    if not np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=True):
        raise Differs(f"{what} differ from the CPU's")
