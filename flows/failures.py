"""A failure is told once in the logs of its Prefect run, not by every layer that it passes.

Prefect's engine logs an exception where a task ends, where its flow ends, and where the process of
the run ends, each time with all of its traceback.
"""

import logging
import re

from coreframe.tasks.errors import CoreframeError, UsageError

ENGINES = ("prefect.task_runs", "prefect.flow_runs", "prefect.engine")
"""Loggers that Prefect's engine uses, and runs log to."""

FAILED = re.compile(r"^(Finished in state (?:Failed|Crashed))\(.*$", re.DOTALL)

TOLD = "_coreframe_told"
"""Attribute of an exception that is in the logs."""


def is_explained(error: BaseException) -> bool:
    """Whether its sentence says all that people need: no traceback is logged then."""
    return isinstance(error, CoreframeError | UsageError)


def tell(error: BaseException) -> None:
    """Remember that an exception is in the logs: nobody logs it again."""
    setattr(error, TOLD, True)


class _Once(logging.Filter):
    """Lets the first record of an exception pass; of those that we explain, as their sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        if shortened := FAILED.match(str(record.msg)):
            record.msg, record.args = shortened[1], ()  # the reason is a record of its own
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None:
            return True
        if getattr(error, TOLD, False) or record.name == "prefect.task_runs":
            return False  # of a task's the flow tells, with the same traceback and more
        tell(error)
        if is_explained(error):
            record.msg, record.args, record.exc_info = str(error), (), None
        return True


def tell_once() -> None:
    """From now on, log each failure of a run once."""
    for name in ENGINES:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Once) for one in logger.filters):
            logger.addFilter(_Once())
