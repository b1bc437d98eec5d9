"""One run over a folder of videos, in a process of its own that may be killed: no Prefect.

python -m tests.night VIDEOS STORE N_SAMPLES
"""

import sys
from pathlib import Path

from coreframe.flows.choosing import Selecting
from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute, Ingestion
from coreframe.flows.preflight import open_store
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.lock import writing
from tests.runs import run

BLOCK_ROWS = 32


def night(videos: Path, store: Path, n_samples: int, cluster: str) -> list[int]:
    """Index, embed, and extend the standing selection to so many frames: its rows."""
    opened, _ = open_store(str(store), Ingestion(block_rows=BLOCK_ROWS), Compute(device="cpu"))
    with writing(opened, "night", wait_s=60):
        run(videos, store, cluster, block_rows=BLOCK_ROWS)
        choice = Selecting(name="nightly", n_samples=n_samples).choice()
        return choose_frames(opened, choice, "cpu", cluster).frames["row"].tolist()


if __name__ == "__main__":
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:
        night(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), cluster)
