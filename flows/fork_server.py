"""The process of which the workers of a local cluster are forks.

A worker that is started anew imports for two seconds what all others have imported. A fork of a
process that has is there in a tenth of a second, also after a worker has died, and shares its
memory. Not with GPUs, which do not outlive a fork, and on Linux only, where libraries expect forks.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver

PRELOADED = "coreframe.flows.forked"

_tried = False
_started_with: dict[str, str] | None = None


def start_fork_server(environment: Mapping[str, str]) -> bool:
    """Begin to import what workers need, and go on at once.

    Args:
        environment: what libraries read when they are imported, such as numbers of threads.

    Returns:
        Whether workers may be forks: of a process that was started with just this.
    """
    global _tried, _started_with
    if not _tried and sys.platform == "linux":
        _tried = True
        multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOADED])
        # where the path to temporary files is too long for a socket's name, workers are no forks
        with suppress(OSError), _known(environment):
            forkserver.ensure_running()
            _started_with = dict(environment)
    return _started_with == environment


@contextmanager
def _known(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
