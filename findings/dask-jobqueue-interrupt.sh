#!/usr/bin/env bash
# dask-jobqueue 0.9.0: after importing it, Ctrl-C ends a program with status 0.
#
# Expected: importing a library leaves the program's signals as they are. Ctrl-C raises
# KeyboardInterrupt, and a program that does not handle it ends with a status other than 0.
# Seen: the import puts a handler of its own for SIGINT in place, which calls sys.exit(). No
# KeyboardInterrupt is raised, and a handler that the program had is gone.
# For users: a script, a Makefile or a scheduler takes an interrupted run for a finished one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
  dask-jobqueue==0.9.0 dask==2026.7.1 distributed==2026.7.1
"$place/venv/bin/python" - <<'PYTHON'
import os
import signal
import sys
import time
from importlib.metadata import version

import dask_jobqueue  # noqa: F401

try:
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does
    time.sleep(1)
    seen = "nothing"
except BaseException as error:
    seen = f"{type(error).__name__}, exit status {getattr(error, 'code', None) or 0}"
print(f"dask-jobqueue {version('dask-jobqueue')}: expected KeyboardInterrupt, seen: {seen}")
sys.exit(seen != "SystemExit, exit status 0")
PYTHON
