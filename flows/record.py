"""What is written about a run: versions, timings, and a record of it in the store."""

import logging
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast
from uuid import uuid4

from av import library_versions
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from coreframe.flows.artifacts import show_run
from coreframe.flows.failures import is_explained, tell
from coreframe.flows.logs import LOGGER, logs_of_run
from coreframe.flows.outcome import Outcome
from coreframe.flows.prometheus import write_metrics
from coreframe.flows.run_names import name_news, news_of, said_of
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.names import shown, shown_all
from coreframe.tasks.report.facts import LISTED
from coreframe.tasks.store.catalogue import Change
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.settings import RUNS
from coreframe.tasks.store.store import Store

PACKAGES = (
    "coreframe",
    "torch",
    "av",
    "zarr",
    "numpy",
    "pandas",
    "prefect",
    "dask",
    "transformers",
)

logger = logging.getLogger(LOGGER)

LEVELS = {
    Outcome.COMPLETED: logging.INFO,
    Outcome.WARNED: logging.WARNING,
    Outcome.FAILED: logging.ERROR,
    Outcome.INTERRUPTED: logging.WARNING,
}

EVENT_KEYS = (
    *("flow", "run", "outcome", "reason", "seconds", "changes", "counts", "timings_s", "page"),
)
"""Of a record, what goes into events and logs."""


@contextmanager
def recorded(
    store: Store,
    flow: str,
    parameters: Mapping[str, Any],
    wait_s: float | None,
    metrics_file: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Be the store's only writer for one run, and leave a record of it, however it ends.

    Args:
        store: the store.
        flow: the flow's name.
        parameters: what it was asked for.
        wait_s: how long to wait for another writer; None for a run that writes nothing else.
        metrics_file: where to leave the run's numbers for Prometheus, if anywhere.

    Yields:
        The record, for the run to add to: ``changes``, ``counts``, ``timings_s``, ``warnings``,
        ``page``.

    Raises:
        CoreframeError: another run writes to the store; nothing is recorded then.
    """
    name = flow_run.get_name() or "of its own"
    run = f"the {flow} run {name}"
    with nullcontext() if wait_s is None else writing(store, run, wait_s), logs_of_run():
        started = datetime.now(UTC)
        record: dict[str, Any] = {
            "flow": flow,
            "run": name,
            "started": started.isoformat(timespec="seconds"),
            "parameters": dict(parameters),
            "changes": {},
            "warnings": [],
        }
        outcome, reason = Outcome.INTERRUPTED, "it was stopped; the next run continues"
        unexplained: Exception | None = None
        try:
            yield record
            reason = "; ".join(record["warnings"])
            outcome = Outcome.WARNED if reason else Outcome.COMPLETED
        except Exception as error:
            outcome, reason = Outcome.FAILED, str(error) or type(error).__name__
            if is_explained(error):
                tell(error)  # below
            else:
                unexplained = error
            raise
        finally:
            seconds = (datetime.now(UTC) - started).total_seconds()
            record |= {"outcome": outcome, "reason": reason, "seconds": round(seconds, 3)}
            if outcome != Outcome.INTERRUPTED:  # whoever stops it does not want to wait
                record["run"] = name_news(news_of(record))
            level = LEVELS[outcome]
            facts = {key: record[key] for key in EVENT_KEYS if key in record} | {"event": "run"}
            logger.log(level, "%s", said_of(record), extra=facts, exc_info=unexplained)
            at = f"{started:%Y%m%dT%H%M%S}{started.microsecond // 1000:03d}"  # in their order
            place = f"{RUNS}/{at}-{flow}-{uuid4().hex[:8]}.json"
            with suppress(OSError, CoreframeError):  # a full disk has been reported already
                store.folder.write(place, sealed_json(place, record))
            if metrics_file is not None:
                write_metrics(metrics_file, store, record, last_good(store, flow))
            _emit(store, record)


def unread_before(store: Store) -> frozenset[str]:
    """Paths that the last run over a corpus could not look at."""
    for name in reversed(store.folder.names(RUNS)):
        with suppress(ValueError, KeyError, TypeError, FileNotFoundError):
            record = parse_json(f"{RUNS}/{name}", store.folder.read(f"{RUNS}/{name}"))
            return frozenset(one["path"] for one in record["unread"])
    return frozenset()


def ended(result: dict[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """What a flow returns at its end: with warnings, a state of their name that holds the result.

    Prefect takes the state for the run's last one, and hands the result to who called the flow.
    """
    result = result | {"warnings": list(warnings)}
    if not warnings or not flow_run.get_id():
        return result
    name, message = Outcome.WARNED.name.capitalize(), "; ".join(warnings)
    return cast(dict[str, Any], Completed(name=name, message=message, data=result))


def _emit(store: Store, record: Mapping[str, Any]) -> None:
    """Tell Prefect's server, so that automations can follow."""
    if flow_run.get_id():
        show_run(store, record)
        emit_event(
            event=f"coreframe.run.{record['outcome'].name.lower()}",
            resource={
                "prefect.resource.id": f"coreframe.store.{store.path}",
                "prefect.resource.name": shown(store.path),
                "coreframe.flow": str(record["flow"]),
            },
            related=[
                {
                    "prefect.resource.id": f"prefect.flow-run.{flow_run.get_id()}",
                    "prefect.resource.role": "flow-run",
                }
            ],
            payload={key: shown_all(record[key]) for key in EVENT_KEYS if key in record},
        )


def last_good(store: Store, flow: str) -> datetime | None:
    """When the last run of a flow began that came to its end, by the records in the store."""
    names = [name for name in store.folder.names(RUNS) if f"-{flow}-" in name]
    for name in reversed(names):
        with suppress(OSError, CoreframeError, ValueError, KeyError):  # one that is torn
            place = f"{RUNS}/{name}"
            record = parse_json(place, store.folder.read(place))
            if record["outcome"] in (Outcome.COMPLETED, Outcome.WARNED):
                return datetime.fromisoformat(record["started"])
    return None


def summarized(found: Mapping[Change, list[str]] | Mapping[str, list[str]]) -> dict[str, Any]:
    """Names of files by kind as a record has them: how many of each, and the first of them."""
    return {
        str(kind): {"count": len(names), "first": names[:LISTED]} for kind, names in found.items()
    }


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add a stage's wall-clock seconds to ``timings``."""
    logger.info("%s begins", stage, extra={"stage": stage, "event": "begin"})
    status.show(stage)
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = round(time.perf_counter() - start, 3)
        timings[stage] = round(timings.get(stage, 0.0) + seconds, 3)
        facts = {"stage": stage, "event": "end", "seconds": seconds}
        logger.info("%s ended after %.1f s", stage, seconds, extra=facts)


def versions() -> dict[str, str]:
    """Of Python, the packages that matter for a result, and FFmpeg's decoders.

    A package that is not installed has none. Coreframe itself may run from its folder.
    """
    libavcodec = ".".join(map(str, library_versions["libavcodec"]))
    found = {"python": platform.python_version(), "coreframe": "not installed"}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"libavcodec": libavcodec}
