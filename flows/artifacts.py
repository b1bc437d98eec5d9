"""What a run shows in Prefect: its seconds and counts, and what was quarantined."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_table_artifact

from coreframe.tasks.names import shown_all
from coreframe.tasks.report.facts import LISTED
from coreframe.tasks.report.markdown import markdown_text
from coreframe.tasks.store.catalogue import Video, VideoState


def show_quarantined(videos: Sequence[Video]) -> None:
    """Show in Prefect which videos are taken out and why, if there are any."""
    out = [video for video in videos if video.state == VideoState.QUARANTINED]
    if out:
        create_table_artifact(
            key="coreframe-quarantined",
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


def show_run(record: Mapping[str, Any]) -> None:
    """Show in Prefect how long each stage took, how fast frames were embedded, what changed."""
    timings, counts = record.get("timings_s", {}), record.get("counts", {})
    facts: dict[str, object] = {f"{stage}, s": seconds for stage, seconds in timings.items()}
    embedded, seconds = counts.get("embedded_frames", 0), timings.get("embed", 0.0)
    facts["frames embedded"] = embedded
    if embedded and seconds:
        facts["frames embedded a second"] = round(embedded / seconds, 1)
    facts |= {f"videos {kind}": found["count"] for kind, found in record["changes"].items()}
    create_table_artifact(
        key="coreframe-run",
        table=[{"what": name, "value": value} for name, value in facts.items()],
        description=markdown_text(f"{record['flow']} {record['outcome']} {record['reason']}"),
    )
