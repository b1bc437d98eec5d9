"""A run over shots of very unequal length, at their full length or shorter."""

import json
from pathlib import Path

import pandas as pd

from coreframe.flows.choosing import Selecting
from coreframe.flows.ingest import ingest
from coreframe.flows.parameters import Compute, Picture, Sources
from coreframe.flows.selection import select
from coreframe.tasks.store.store import Store
from tests.runs import scenes_hit
from tests.shots import FILES, Files, build

COUNTS = (33, 40, 50, 66)


def shots_hit(real_videos: Path, place: Path, files: Files = FILES, *, shorter: int) -> list[int]:
    """How many of 31 shots so many frames of a coreset hit, where a fixed rate misses many.

    Args:
        real_videos: the folder that they are cut from.
        place: an empty folder.
        files: the shots.
        shorter: how many times shorter each of them is.

    Returns:
        The shots hit by the first of COUNTS picks, and of the others.
    """
    (place / "in").mkdir(parents=True)
    cuts = build(real_videos, place / "in", shorter, files)
    truth = [
        (name, start, stop, f"{name} {start}")
        for name, found in cuts.items()
        for start, stop in found
    ]
    assert len(truth) == 31
    ingest(
        store=str(place / "s"),
        corpus=Sources(videos=[str(place / "in")]),
        compute=Compute(device="cpu"),
    )
    select(
        store=str(place / "s"),
        out=str(place / "o"),
        selecting=Selecting(n_samples=66, keep_flat=True),  # some shots are cards of one colour
        picture=Picture(format="jpg"),
        compute=Compute(device="cpu"),
    )
    metrics = json.loads((place / "o" / "metrics.json").read_text())
    frames = Store.open(place / "s").frames().set_index("row")
    names = {v.video: v.path for v in Store.open(place / "s").read_catalogue().videos}
    rate = frames.loc[metrics["methods"]["fixed_rate"]["rows"]].assign(
        video=lambda rows: rows["video"].map(names)
    )
    assert scenes_hit(rate, truth) < 27
    selection = pd.read_parquet(place / "o" / "selection.parquet")
    return [scenes_hit(selection.head(n), truth) for n in COUNTS]
