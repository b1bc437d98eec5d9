"""What Prefect's pages call a run: the date, what it was for and, at its end, what was new."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from coreframe.tasks.names import shown
from coreframe.tasks.store.catalogue import Change


def begun_name() -> str:
    """The name of the run that begins: its date in UTC, and the selection's name or the folder's.

    Such as ``2026-11-27 nightly`` or ``2026-11-27 ingest my-store``.
    """
    given = flow_run.get_parameters()
    selecting = given.get("selecting") or {}  # in a deployment's run it may be no model yet
    known = selecting if isinstance(selecting, Mapping) else selecting.model_dump()
    place = PurePath(given.get("out") or given["store"])
    what = known.get("name") or f"{flow_run.get_flow_name()} {place.name}"
    return f"{datetime.now(UTC):%Y-%m-%d} {shown(what)}"


def name_news(news: str) -> str:
    """Add what was new to the name of the run, on Prefect's server.

    Args:
        news: a few words, such as those of :func:`news_of`; of none the name stays.

    Returns:
        The whole name; outside of a Prefect run "of its own".
    """
    begun, run = flow_run.get_name(), flow_run.get_id()
    if begun is None or run is None:
        return "of its own"
    if not news:
        return begun
    name = f"{begun}: {news}"
    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        client.set_flow_run_name(UUID(run), name)
    return name


def news_of(record: Mapping[str, Any]) -> str:
    """What was new in a run: ``12 new, 1 gone, 340 frames``; nothing where it did not get so far.

    Args:
        record: of the run; see :func:`coreframe.flows.record.recorded`.
    """
    counts = record.get("counts")
    if counts is None:
        return ""
    changes = record["changes"]
    parts = [f"{changes[kind]['count']:,} {kind}" for kind in Change if kind in changes]
    if "selected_frames" in counts:
        parts.append(_frames(counts["selected_frames"]))
    elif counts.get("embedded_frames"):
        parts.append(f"{_frames(counts['embedded_frames'])} embedded")
    elif "sound" in counts:
        parts.append("sound" if counts["sound"] else "damaged")
    return ", ".join(parts) or "nothing new"


def said_of(record: Mapping[str, Any]) -> str:
    """How a run ended and why, as its log ends and its artifact in Prefect begins."""
    said = f"{record['flow']} {record['outcome']}"
    return f"{said}: {record['reason']}" if record["reason"] else said


def _frames(number: int) -> str:
    return f"{number:,} frame{'s' * (number != 1)}"
