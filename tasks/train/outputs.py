"""What training writes: the checkpoint, the losses, and at the end the record."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coreframe.tasks.embedders.simclr import CHECKPOINT
from coreframe.tasks.output.files import replace_file, write_bytes, write_text
from coreframe.tasks.train.job import Trained


def write_trained(out: Path, trained: Trained) -> None:
    """Write the checkpoint and ``loss.csv`` of the epochs so far."""
    write_bytes(out / CHECKPOINT, trained.checkpoint)
    epochs = range(1, len(trained.losses) + 1)
    losses = pd.DataFrame({"epoch": epochs, "loss": trained.losses})
    replace_file(out / "loss.csv", lambda temporary: losses.to_csv(temporary, index=False))


def write_summary(out: Path, losses: Sequence[float], run: Mapping[str, Any]) -> None:
    """Write ``loss.png`` and ``train.json``, which are there when training came to its end.

    Args:
        out: the output folder.
        losses: of each epoch.
        run: what ``train.json`` holds.
    """
    from coreframe.tasks.report.charts import draw_charts, loss_chart  # a second

    write_bytes(out / "loss.png", draw_charts({"loss": loss_chart(losses)}).pictures["loss"])
    write_text(out / "train.json", json.dumps(run, indent=2) + "\n")
