"""What goes into ``run.json`` beside the parameters: versions and timings."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

from av import library_versions

PACKAGES = ("coreframe", "torch", "av", "zarr", "numpy", "pandas", "prefect", "dask")
OPTIONAL_PACKAGES = ("transformers",)


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
    for name in OPTIONAL_PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"libavcodec": libavcodec}
