"""What it costs, and brings, that picks give way to sharper frames (`--sharpest-within`).

The largest gap at every number of frames up to 300, with and without, on the demo's corpus or on
given videos; then the time of the select stage on rows like those of videos, in turns.

    python benchmarks/sharper.py [--videos FOLDER] [--rows N --picks K]
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dask
import numpy as np
import pandas as pd
from dask.distributed import LocalCluster

from coreframe.flows.cluster import DASK_SETTINGS
from coreframe.tasks.select.choice import SHARPEST_WITHIN, Budget, Choice
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data")]

from selection import video_like  # noqa: E402

import make_demo  # noqa: E402
from tests.runs import ingest  # noqa: E402
from tests.stores import make_store  # noqa: E402

PICKS, LEAST, SHOWN = 300, 10, (20, 40, 66, 99, 200, 300)
DIM, VIDEO_ROWS, TURNS = 384, 2000, 3


def gaps(store: Store, cluster: str) -> None:
    """Print what becomes of the largest gap, and of sharpness."""
    plain, sharper = (_frames(store, PICKS, within, cluster) for within in (0.0, SHARPEST_WITHIN))
    count = min(len(plain), len(sharper))
    change = 100 * (sharper["radius"][:count] / plain["radius"][:count] - 1)
    some = change[LEAST - 1 :]
    moved = sharper[sharper["row"] != sharper["center_row"]]
    sharpness = store.frames().set_index("row")["sharpness"]
    gained = sharpness[moved["row"]].to_numpy() / sharpness[moved["center_row"]].to_numpy()
    print(
        f"largest gap with {SHARPEST_WITHIN}, of that without, {LEAST} to {count} frames: mean "
        f"{some.mean():+.2f} %, least {some.min():+.1f} %, most {some.max():+.1f} %; at "
        + ", ".join(f"{n}: {change[n - 1]:+.1f} %" for n in SHOWN if n <= count)
    )
    print(
        f"{(moved['rank'] < 99).sum()} of the first 99 are exchanged, {len(moved)} of {count}; "
        f"they are {100 * (np.exp(np.log(gained).mean()) - 1):.0f} % sharper"
    )


def seconds(rows: int, picks: int, folder: Path, cluster: str) -> None:
    """Print the time of the select stage, with and without, in turns."""
    lattice = np.rint(video_like(rows, DIM, 0) * 4000).astype(np.int16)
    lengths = [VIDEO_ROWS] * (rows // VIDEO_ROWS) + [rows % VIDEO_ROWS] * (rows % VIDEO_ROWS > 0)
    store = make_store(folder / "rows", lattice, lengths, block_rows=1024)
    _frames(store, 10, 0.0, cluster)
    found: dict[float, list[float]] = {0.0: [], SHARPEST_WITHIN: []}
    for _ in range(TURNS):
        for within, taken in found.items():
            start = time.perf_counter()
            frames = _frames(store, picks, within, cluster)
            taken.append(time.perf_counter() - start)
    without, with_it = (statistics.median(taken) for taken in found.values())
    print(
        f"{picks:,} of {rows:,} rows of {DIM}: {with_it:.2f} s, without {without:.2f} s, "
        f"{with_it / without:.2f} of it; "
        f"{(frames['row'] != frames['center_row']).sum():,} are exchanged"
    )


def _frames(store: Store, n: int, within: float, cluster: str) -> pd.DataFrame:
    choice = Choice(budget=Budget(n_samples=n), sharpest_within=within)
    return choose_frames(store, choice, "cpu", cluster).frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, help="a folder")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--picks", type=int, default=10_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        dask.config.set(DASK_SETTINGS),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        folder, address = Path(temporary), cluster.scheduler_address
        if arguments.videos is None:
            make_demo.build(folder / "demo")
        store, _ = ingest([arguments.videos or folder / "demo"], folder / "store", address)
        gaps(store, address)
        seconds(arguments.rows, arguments.picks, folder, address)


if __name__ == "__main__":
    main()
