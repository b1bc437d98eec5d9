"""Run the ``coreframe`` command as a person does, or in this process, which has imported it."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch


def environment(cwd: Path, server: str | None = None) -> dict[str, str]:
    """One in which Prefect has its home under the given folder, and perhaps a server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    told = {} if server is None else {"PREFECT_API_URL": server}
    return kept | {"PREFECT_HOME": str(cwd / "prefect")} | told


def coreframe(
    *arguments: object, cwd: Path, server: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; a run takes 10 s of a core, and without a server it starts one, 6 s more."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("coreframe")), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, server),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def coreframe_here(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, where all is imported that a new one imports for seconds.

    Flows need the fixture ``server``, and workers start sooner with ``forked``.
    """
    from coreframe.flows import cli

    words = ["coreframe", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    status: object = 0
    raising = logging.raiseExceptions
    with (
        chdir(cwd),
        patch.dict(os.environ),
        patch.object(sys, "argv", words),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code
        finally:
            logging.raiseExceptions = raising
    said = []
    for stream in (out, err):
        stream.seek(0)
        said.append(stream.read())
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, *said)


def coreframe_each(
    every: Sequence[Sequence[object]], cwd: Path
) -> list[subprocess.CompletedProcess[str]]:
    """Run it here once with each list of arguments, one after the other; none starts anything."""
    with patch("coreframe.flows.cli._started", nothing_started):
        return [coreframe_here(*some, cwd=cwd) for some in every]


@contextmanager
def nothing_started(_: object) -> Iterator[object]:
    """In place of the command's `_started`, where it has to refuse something: nothing runs."""
    yield None
