"""Loaded into Dask workers: decoders that crash or hang, by the names of videos.

crash-open    the process dies when the file is opened for indexing
crash-decode  it dies in the middle of decoding
hang-open     indexing never ends
hang-decode   decoding never gives the second frame
hang-once     the same, the first time only
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coreframe.tasks.embed.prepare
import coreframe.tasks.index.job

index_video, decode_shown = (
    coreframe.tasks.index.job.index_video,
    coreframe.tasks.embed.prepare.decode_shown,
)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(1000)  # the handler of another thread may take a moment


def deadly_index(path: str | Path, *arguments: Any) -> Any:
    if "crash-open" in str(path):
        crash()
    if "hang-open" in str(path):
        time.sleep(1000)
    return index_video(path, *arguments)


def deadly_decode(path: str | Path, *arguments: Any) -> Iterator[Any]:
    for number, item in enumerate(decode_shown(path, *arguments)):
        if number == 1:
            if "crash-decode" in str(path):
                crash()
            if "hang-decode" in str(path) or ("hang-once" in str(path) and first_time(path)):
                time.sleep(1000)
        yield item


def first_time(path: str | Path) -> bool:
    folder, name = Path(path).parent, Path(path).name
    mark = folder.with_name(f"{name}.mark")
    if mark.exists():
        return False
    mark.touch()
    return True


# not in dask_setup(), which comes after the first jobs
coreframe.tasks.index.job.index_video = deadly_index  # type: ignore[assignment]
coreframe.tasks.embed.prepare.decode_shown = deadly_decode  # type: ignore[assignment]
