"""Run the ``coreframe`` command as a person does, and many times where it only has to refuse."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def environment(cwd: Path, server: str | None = None) -> dict[str, str]:
    """One in which Prefect has its home under the given folder, and perhaps a server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    told = {} if server is None else {"PREFECT_API_URL": server}
    return kept | {"PREFECT_HOME": str(cwd / "prefect")} | told


def coreframe(
    *arguments: object, cwd: Path, server: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; without a server it starts one for itself, which takes 6 s of a core."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("coreframe")), *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, server),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def coreframe_each(
    every: Sequence[Sequence[object]], cwd: Path
) -> list[subprocess.CompletedProcess[str]]:
    """Run it once with each list of arguments, one after the other.

    All are forks of one process that has imported what the command needs to refuse something,
    which otherwise takes two seconds each time.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = {"folder": folder, "every": [[str(one) for one in some] for some in every]}
        subprocess.run(
            [sys.executable, "-m", "tests.commands"],
            cwd=cwd,
            env=environment(cwd) | {"PYTHONPATH": str(Path(__file__).parents[1])},
            input=json.dumps(request),
            text=True,
            timeout=300,
            check=True,
        )
        return [
            subprocess.CompletedProcess(
                some,
                int(Path(folder, f"{number}.status").read_text()),
                Path(folder, f"{number}.out").read_text(),
                Path(folder, f"{number}.err").read_text(),
            )
            for number, some in enumerate(request["every"])
        ]


@contextmanager
def nothing_started(_: object) -> Iterator[object]:
    """In place of the command's `_started`, where it has to refuse something: nothing runs."""
    yield None


def main() -> None:
    """Answer the request on standard input with files in the folder that it names."""
    from coreframe.flows import cli, preflight  # noqa: F401 - all that refuses
    from coreframe.tasks import device  # noqa: F401
    from coreframe.tasks.embedders import descriptor, huggingface, simclr  # noqa: F401

    os.environ |= {
        name: os.environ.get(name, value) for name, value in cli.PREFECT_AND_DASK.items()
    }

    cli._started = nothing_started
    request = json.load(sys.stdin)
    for number, arguments in enumerate(request["every"]):
        place = Path(request["folder"], str(number))
        child = os.fork()
        if child == 0:
            for stream, name in ((1, "out"), (2, "err")):
                opened = os.open(f"{place}.{name}", os.O_CREAT | os.O_WRONLY)
                os.dup2(opened, stream)
            sys.argv = ["coreframe", *arguments]
            status: object = 1
            try:
                cli.main()
                status = 0
            except SystemExit as ended:
                status = ended.code
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status if isinstance(status, int) else 1)  # no tidying up, which takes long
        _, wait_status = os.waitpid(child, 0)
        Path(f"{place}.status").write_text(str(os.waitstatus_to_exitcode(wait_status)))


if __name__ == "__main__":
    main()
