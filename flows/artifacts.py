"""What a run shows in Prefect: its seconds and counts, its outcome, and what was quarantined.

Artifacts of one key are one line on Prefect's page of artifacts, with a history: the keys tell
stores and output folders apart.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from coreframe.flows.run_names import said_of
from coreframe.tasks.names import shown, shown_all
from coreframe.tasks.output.files import MARKDOWN, PAGE
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.report.facts import LISTED, verdict
from coreframe.tasks.report.markdown import markdown_text
from coreframe.tasks.report.tables import comparison
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.store.store import Store

NAME_LENGTH = 40
"""Of a folder's name, letters that go into a key."""


def artifact_key(kind: str, place: str) -> str:
    """The key of an artifact about a store or output folder.

    Args:
        kind: what it shows.
        place: absolute path or URL; of two that end alike the keys differ all the same.

    Returns:
        Lower-case letters, digits and dashes: ``coreframe-run-my-store-1f0c9a``.
    """
    name = re.sub(r"[^a-z0-9]+", "-", PurePath(place).name.lower())[:NAME_LENGTH].strip("-")
    digest = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:6]
    return "-".join(part for part in ("coreframe", kind, name, digest) if part)


def show_quarantined(store: Store, videos: Sequence[Video]) -> None:
    """Show in Prefect which videos are taken out and why, if there are any."""
    out = [video for video in videos if video.state == VideoState.QUARANTINED]
    if out:
        create_table_artifact(
            key=artifact_key("quarantined", store.path),
            table=[
                shown_all(
                    {
                        "video": v.path,
                        "why": v.reason,
                        "workers lost": v.attempts,
                        "source": v.source,
                    }
                )
                for v in out[:LISTED]
            ],
            description=f"{len(out):,} videos are not read any more. Mend or replace them, or run "
            "with retry_quarantined.",
        )


def show_run(store: Store, record: Mapping[str, Any]) -> None:
    """Show in Prefect how long each stage took, how fast frames were embedded, what changed."""
    timings, counts = record.get("timings_s", {}), record.get("counts", {})
    facts: dict[str, object] = {f"{stage}, s": seconds for stage, seconds in timings.items()}
    embedded, seconds = counts.get("embedded_frames", 0), timings.get("embed", 0.0)
    facts["frames embedded"] = embedded
    if embedded and seconds:
        facts["frames embedded a second"] = round(embedded / seconds, 1)
    facts |= {f"videos {kind}": found["count"] for kind, found in record["changes"].items()}
    create_table_artifact(
        key=artifact_key("run", store.path),
        table=[{"what": name, "value": value} for name, value in facts.items()],
        description=markdown_text(said_of(record)),
    )


def show_outputs(out: Path, metrics: Metrics) -> None:
    """Show in Prefect the comparison of an output folder, and its report as Markdown."""
    place = str(out.absolute())
    create_table_artifact(
        key=artifact_key("comparison", place),
        table=comparison(metrics),
        description=verdict(metrics),
    )
    text = (out / MARKDOWN).read_text(encoding="utf-8")
    create_markdown_artifact(
        key=artifact_key("report", place),
        markdown=text,
        description=f"The tables of the report: {shown(str(out.absolute() / MARKDOWN))}.",
    )


def page_address(out: Path, page_url: str | None) -> str:
    """Where the page of an output folder opens: on this machine, or wherever the folder is served.

    Args:
        out: the output folder.
        page_url: what it is served under, if it is.
    """
    if page_url is None:
        return (out / PAGE).resolve().as_uri()
    return f"{page_url.rstrip('/')}/{PAGE}"


def show_page(out: Path, page_url: str | None) -> None:
    """Show in Prefect where the page of an output folder opens; see :func:`page_address`.

    A browser follows no link from a page of a server to a file: of a file it shows the address.
    """
    key, address = artifact_key("page", str(out.absolute())), page_address(out, page_url)
    what = "The report: tables, pictures and plots."
    if page_url:
        create_link_artifact(key=key, link=address, description=what)
    else:
        create_markdown_artifact(
            key=key,
            markdown=f"```\n{address}\n```",
            description=f"{what} Open this address in a browser on the machine that has the file.",
        )


def show_training(out: Path, losses: Sequence[float], checkpoint: str) -> None:
    """Show in Prefect how the loss fell, epoch by epoch.

    Args:
        out: the folder of the checkpoint.
        losses: of each epoch.
        checkpoint: its fingerprint.
    """
    create_table_artifact(
        key=artifact_key("training", str(out.absolute())),
        table={"epoch": list(range(1, len(losses) + 1)), "loss": list(losses)},
        description=f"Contrastive loss by epoch; the checkpoint in {out} is {checkpoint}.",
    )
