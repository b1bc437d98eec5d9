"""The command, as ``python -m coreframe``."""

from coreframe.flows.cli import main

main()
