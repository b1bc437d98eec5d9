#!/usr/bin/env bash
# Typer 0.29.2: with standalone_mode=False, Ctrl-C in a command is returned as 130, not raised.
#
# Expected: standalone_mode=False means that the caller handles what ends a command. Errors of usage
# are raised then, and so should KeyboardInterrupt be, as itself or as typer.Abort.
# Seen: app(standalone_mode=False) returns the number 130. A program that waits for an exception goes
# on, and ends with status 0, as if all had been done.
# For users: a script that runs such a program takes an interrupted run for a finished one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check typer==0.29.2
"$place/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import typer

app = typer.Typer()


@app.command()
def interrupted() -> None:
    raise KeyboardInterrupt


try:
    seen = f"returned {app(args=[], standalone_mode=False)!r}"
except BaseException as error:
    seen = f"raised {type(error).__name__}"
print(f"typer {version('typer')}: expected an exception, seen: {seen}")
sys.exit(seen != "returned 130")
PYTHON
