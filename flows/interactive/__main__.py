"""The command: what ``coreframe`` and ``python -m coreframe`` run.

It needs the packages of the extra `run`, the notebook does not: who installed the notebook only is
told what to install, in one sentence and before anything is done.
"""

import gc
import sys
from importlib.util import find_spec

RUN_MODULES = frozenset(
    {
        "altair",
        "cryptography",
        "dask",
        "distributed",
        "fastapi",
        "httpx",
        "jinja2",
        "markupsafe",
        "prefect",
        "prometheus_client",
        "rich",
        "safetensors",
        "sqlalchemy",
        "tornado",
        "typer",
        "vl_convert",
        "yaml",
    }
)
"""What the extra's packages are imported as, without those for GPUs, which may be absent."""

GARBAGE_EVERY = 100_000
"""New objects after which Python looks for garbage: with its usual 700, a fifth of the time that
importing takes goes into looking through modules."""


def main() -> None:
    """Run the command; without the packages of the extra `run`, say so and end with status 2."""
    if any(find_spec(module) is None for module in RUN_MODULES):
        print(
            "coreframe: the command needs more packages: pip install 'coreframe[run]'.",
            file=sys.stderr,
        )
        sys.exit(2)
    from coreframe.flows.supervisor import ending, supervise

    supervise()
    gc.set_threshold(GARBAGE_EVERY)
    with ending():
        from coreframe.tasks import status

        if not {"--help", "--version"} & set(sys.argv) and len(sys.argv) > 1:
            status.begin("starting")
        from coreframe.flows import cli

        cli.main()


if __name__ == "__main__":
    main()
