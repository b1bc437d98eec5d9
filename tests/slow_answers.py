"""A process of `tests/video/test_apart.py` that answers, waits, or ends."""

import os
import time
from collections.abc import Iterator

from coreframe.tasks.video.apart import serve


def answers(request: list[float]) -> Iterator[float]:
    """Give each number after so many seconds; below 0 the process ends."""
    for seconds in request:
        if seconds < 0:
            os._exit(3)
        time.sleep(seconds)
        yield seconds


if __name__ == "__main__":
    serve(answers)
