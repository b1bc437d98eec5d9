"""A failure is told once in the logs of its run, by whichever layer of Prefect's comes first."""

import logging
from collections.abc import Iterator

import pytest

from coreframe.flows.failures import ENGINES, tell, tell_once
from coreframe.tasks.errors import CoreframeError


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What comes through the filters of Prefect's engine."""
    tell_once()
    tell_once()  # it changes nothing
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[assignment]
    for name in ENGINES:
        logging.getLogger(name).addHandler(handler)
    yield found
    for name in ENGINES:
        logging.getLogger(name).removeHandler(handler)


def engine(error: Exception) -> None:
    """Log an exception as Prefect's engine does on its way out of a task, a flow and a process."""
    try:
        raise error
    except Exception as raised:
        logging.getLogger("prefect.task_runs").error("Task run failed: %r", raised, exc_info=True)
        logging.getLogger("prefect.flow_runs").exception("Encountered exception: %r", raised)
        logging.getLogger("prefect.flow_runs").error("Engine execution exited", exc_info=True)
        logging.getLogger("prefect.engine").error("Execution exited", exc_info=True)


def test_an_explained_failure_is_its_sentence(records: list[logging.LogRecord]) -> None:
    engine(CoreframeError("the disk 100% is full."))
    assert [record.getMessage() for record in records] == ["the disk 100% is full."]
    assert not records[0].exc_info


def test_one_that_the_run_has_told_is_not_told_again(records: list[logging.LogRecord]) -> None:
    error = CoreframeError("the disk is full.")
    tell(error)
    engine(error)
    assert records == []


def test_any_other_has_one_traceback(records: list[logging.LogRecord]) -> None:
    engine(KeyError("row"))
    assert [record.getMessage() for record in records] == ["Encountered exception: KeyError('row')"]
    assert records[0].exc_info


def test_two_failures_are_two(records: list[logging.LogRecord]) -> None:
    engine(KeyError("row"))
    engine(KeyError("row"))
    assert len(records) == 2


def test_states_do_not_repeat_the_reason(records: list[logging.LogRecord]) -> None:
    logger = logging.getLogger("prefect.flow_runs")
    logger.error("Finished in state Failed('Flow run encountered an exception: the disk\nis full')")
    logger.error("Finished in state Completed('all is well')")
    assert [record.getMessage() for record in records] == [
        "Finished in state Failed",
        "Finished in state Completed('all is well')",
    ]
