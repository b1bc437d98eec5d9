"""What goes into ``run.json`` beside the parameters: versions and timings."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from av import library_versions

PACKAGES = ("coreframe", "torch", "av", "zarr", "numpy", "pandas", "prefect", "dask")


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add a stage's wall-clock seconds to ``timings``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = timings.get(stage, 0.0) + round(time.perf_counter() - start, 3)


def versions() -> dict[str, str]:
    """Of Python, the packages that matter for a result, and FFmpeg's decoders."""
    libavcodec = ".".join(map(str, library_versions["libavcodec"]))
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    return found | {"libavcodec": libavcodec}
