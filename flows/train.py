"""The ``train`` flow: teach the `simclr` embedder on the frames of a store."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from prefect import flow

from coreframe.flows.artifacts import show_training
from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.flows.preflight import check_training, output_folder
from coreframe.flows.record import recorded, timed, versions
from coreframe.flows.run_names import begun_name, name_news
from coreframe.flows.training import Training
from coreframe.flows.values import StorePath, TrainedPath
from coreframe.tasks.store.store import Store
from coreframe.tasks.train.task import frames_stage, summary_stage, train_stage

SCRATCH = ".frames-"
"""What the folder of a run's small pictures begins with."""


@flow(name="train", flow_run_name=begun_name)
def train(
    store: StorePath,
    out: TrainedPath,
    training: Training = Training(),  # noqa: B008 - Prefect shows the default in its form
    compute: Compute = Compute(),  # noqa: B008
) -> dict[str, Any]:
    """Train on the frames of an existing store; write a checkpoint and the loss of each epoch."""
    opened = Store.open(store)
    input_px = check_training(training)
    folder = output_folder(out, inner=None)
    (folder / "train.json").unlink(missing_ok=True)  # it says that the rest is whole
    for left in folder.glob(f"{SCRATCH}*"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    checkpoint = training.checkpoint and str(Path(training.checkpoint).expanduser().absolute())
    timings: dict[str, float] = {}
    parameters = {
        "store": store,
        "out": out,
        "training": training.model_dump(),
        "compute": compute.model_dump(),
    }
    with (
        recorded(opened, "train", parameters, None) as record,
        open_cluster(compute) as cluster,
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch,
    ):
        with timed(timings, "frames"):
            gathered = frames_stage(opened, Path(scratch), input_px, training.max_frames, cluster)
        with timed(timings, "train"):
            trained = train_stage(
                gathered.frames,
                training.settings(),
                input_px,
                checkpoint,
                compute.device,
                cluster,
                folder,
            )
        record["timings_s"] = timings
    run = {
        "parameters": parameters,
        "versions": versions(),
        "timings_s": timings,
        "counts": {
            "frames": len(gathered.frames),
            "exact_duplicates": gathered.duplicates,
            "epochs": len(trained.losses),
        },
        "losses": trained.losses,
        "fingerprint": trained.fingerprint,
        "failures": gathered.failures,
    }
    summary_stage(folder, trained, run)
    show_training(folder, trained.losses, trained.fingerprint)
    name_news(f"{len(gathered.frames):,} frames, loss {trained.losses[-1]:.3f}")
    return run
