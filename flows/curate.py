"""The ``curate`` flow: from videos to their most diverse frames, and the proof."""

from dataclasses import asdict
from typing import Any

from prefect import flow

from coreframe.flows.artifacts import page_address, show_page
from coreframe.flows.choosing import Selecting
from coreframe.flows.cluster import open_cluster
from coreframe.flows.columns import add_given
from coreframe.flows.ingest import ingest_stages
from coreframe.flows.logs import log_unread
from coreframe.flows.outcome import check_broken, check_selectable
from coreframe.flows.parameters import Compute, Ingestion, Picture, Sources
from coreframe.flows.preflight import (
    check_corpus,
    check_metrics_file,
    open_store,
    output_folder,
)
from coreframe.flows.preflight_choice import check_queries, check_selecting
from coreframe.flows.record import ended, recorded, summarized, unread_before
from coreframe.flows.run_names import begun_name
from coreframe.flows.selection import names_the_same, selection_stages
from coreframe.flows.values import MetricsFile, OutPath, PageUrl, StorePath, Wait
from coreframe.tasks.output.standing import standing_result
from coreframe.tasks.video.listing import Unread


@flow(name="curate", flow_run_name=begun_name)
def curate(
    store: StorePath,
    out: OutPath,
    corpus: Sources,
    ingestion: Ingestion = Ingestion(),  # noqa: B008 - Prefect shows the default in its form
    selecting: Selecting = Selecting(),  # noqa: B008
    picture: Picture = Picture(),  # noqa: B008
    compute: Compute = Compute(),  # noqa: B008
    wait: Wait = 0.0,
    page_url: PageUrl = None,
    metrics_file: MetricsFile = None,
) -> dict[str, Any]:
    """Index, embed, select, export, metrics, report. Only what the store lacks is embedded.

    A selection with a name is extended; when nothing has changed since the output folder was
    written, it is left as it is.

    Returns:
        What ``run.json`` and ``metrics.json`` hold, under ``run`` and ``metrics``; ``run`` has
        ``nothing_new`` where they are left as they are.
    """
    unread: list[Unread] = []
    files = check_corpus(corpus, store, out, unread.append)
    check_selecting(store, selecting)
    check_metrics_file(metrics_file)
    folder = output_folder(out)
    opened, ingestion = open_store(store, ingestion, compute)
    check_queries(selecting, ingestion.embedder)
    parameters = {
        "store": store,
        "out": out,
        "corpus": corpus.model_dump(),
        "ingestion": ingestion.model_dump(),
        "selecting": selecting.model_dump(),
        "picture": picture.model_dump(),
        "compute": compute.model_dump(),
    }
    timings: dict[str, float] = {}
    with recorded(opened, "curate", parameters, wait, metrics_file) as record:
        log_unread(unread)
        with open_cluster(compute) as cluster:
            ingested = ingest_stages(opened, files, corpus, ingestion, compute, cluster, timings)
            ingested.unread, ingested.unread_before = unread, unread_before(opened)
            record |= {"counts": ingested.counts(), "changes": ingested.changes}
            record["fallbacks"] = summarized(ingested.embedded.fallbacks)
            record["unread"] = [asdict(one) for one in unread]
            check_selectable(opened, ingested.videos)
            record["warnings"] = ingested.look_again(opened)
            ingested.added_columns = add_given(opened, selecting.columns)
            result = standing_result(opened, folder, parameters)
            if result is None or not names_the_same(result.run, ingested):
                result = selection_stages(
                    opened,
                    folder,
                    ingested,
                    selecting,
                    picture,
                    compute,
                    cluster,
                    timings,
                    parameters,
                )
                record["counts"] = result.run.counts.model_dump()
                record |= {"changes": ingested.changes, "warnings": result.run.warnings}
            show_page(folder, page_url)
            record["page"] = page_address(folder, page_url)
        record["timings_s"] = timings
        check_broken(ingested.videos, corpus.corrupt_threshold)
    return ended(result.to_json(), record["warnings"])
