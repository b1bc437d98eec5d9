"""A run over shots of very unequal length, at their full length or shorter."""

import json
from pathlib import Path

import pandas as pd

from coreframe.flows.ingest import ingest
from coreframe.flows.parameters import Compute, Picture, Selecting, Sources
from coreframe.flows.selection import select
from coreframe.tasks.store.store import Store
from tests.runs import scenes_hit
from tests.shots import build


def hit_shots(real_videos: Path, place: Path, *, shorter: int) -> None:
    """Few frames of a coreset hit nearly all shots, where a fixed rate misses many.

    Args:
        real_videos: the folder that they are cut from.
        place: a folder.
        shorter: how many times shorter each of them is.
    """
    (place / "in").mkdir()
    cuts = build(real_videos, place / "in", shorter)
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
    selection = pd.read_parquet(place / "o" / "selection.parquet")
    hit = [scenes_hit(selection.head(n), truth) for n in (33, 50, 66)]
    assert hit[0] >= 26
    assert hit[1] >= 30
    assert hit[2] >= 31
    metrics = json.loads((place / "o" / "metrics.json").read_text())
    frames = Store.open(place / "s").frames().set_index("row")
    names = {v.video: v.path for v in Store.open(place / "s").read_catalogue().videos}
    rate = frames.loc[metrics["methods"]["fixed_rate"]["rows"]].assign(
        video=lambda rows: rows["video"].map(names)
    )
    assert scenes_hit(rate, truth) < 25
