"""How many scenes of a corpus each method of selection shows, at several numbers of frames.

On the demo's corpus, and, given the folder of the videos that `tests/shots.py` cuts, on four sets
of real shots: the one that was chosen by eye, and the three that nothing was tuned on.

    python benchmarks/scenes.py [--videos FOLDER] [--embedder NAME ...] [--simclr SEED ...]

With seeds, the `simclr` embedder is trained on each corpus, too, and selects from it: minutes each.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dask
import numpy as np
import pandas as pd
from dask.distributed import LocalCluster
from prefect.logging import disable_run_logger

from coreframe.flows.cluster import DASK_SETTINGS
from coreframe.tasks.embedders.names import DESCRIPTOR
from coreframe.tasks.embedders.simclr import DEFAULT_INPUT_PX
from coreframe.tasks.select.baselines import baseline_rows
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.store import Store
from coreframe.tasks.train.settings import TrainingSettings
from coreframe.tasks.train.task import gather_frames, train_network

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data")]

import make_demo  # noqa: E402
from tests import shots  # noqa: E402
from tests.runs import ingest, scenes_hit  # noqa: E402

RANDOM_SEEDS = 50
EPOCHS, MOST_FRAMES = 10, 100_000


def compare(
    name: str,
    folder: Path,
    scenes: list[tuple[str, int, int, str]],
    counts: tuple[int, ...],
    cluster: str,
    embedders: Sequence[str],
    seeds: Sequence[int],
) -> None:
    """Print one line for each embedder and number of frames, and for each trained embedder."""
    for embedder in embedders:
        place = folder.with_name(f"{folder.name}-{embedder}")
        store, _ = ingest([folder], place, cluster, embedder=embedder)
        hit_by_each_method(f"{name}: {embedder}", store, scenes, counts, cluster)
    for seed in seeds:
        start = time.perf_counter()
        model = trained(store, folder.with_name(f"{folder.name}-model-{seed}"), seed, cluster)
        seconds = time.perf_counter() - start
        path = folder.with_name(f"{folder.name}-store-{seed}")
        other, _ = ingest([folder], path, cluster, embedder=f"simclr:{model}")
        frames, selection = select(other, max(counts), cluster)
        hit = [scenes_hit(frames.loc[selection.frames["row"][:n]], scenes) for n in counts]
        kept = ", ".join(f"{n} kept: {scenes}" for n, scenes in zip(counts, hit, strict=True))
        print(f"{name}: simclr, {EPOCHS} epochs, seed {seed} ({seconds:.0f} s): {kept}", flush=True)


def hit_by_each_method(
    name: str,
    store: Store,
    scenes: list[tuple[str, int, int, str]],
    counts: tuple[int, ...],
    cluster: str,
) -> None:
    """Print one line for each number of frames."""
    frames, selection = select(store, max(counts), cluster)
    total = len({scene for *_, scene in scenes})
    _, unmoved = select(store, max(counts), cluster, sharpest_within=0.0)
    for count in counts:
        plain = scenes_hit(frames.loc[unmoved.frames["row"][:count]], scenes)
        coreset = scenes_hit(frames.loc[selection.frames["row"][:count]], scenes)
        others = {
            method: np.mean(
                [
                    scenes_hit(
                        frames.loc[baseline_rows(method, selection.units.choosable, count, seed)],
                        scenes,
                    )
                    for seed in range(seeds)
                ]
            )
            for method, seeds in (("fixed-rate", 1), ("random", RANDOM_SEEDS))
        }
        print(
            f"{name}: {total} scenes, {len(frames)} frames, {count} kept: coreset {coreset} "
            f"(plain {plain}), fixed rate {others['fixed-rate']:.0f}, "
            f"random {others['random']:.1f}",
            flush=True,
        )


def select(
    store: Store, n: int, cluster: str, sharpest_within: float | None = None
) -> tuple[pd.DataFrame, Selection]:
    """All frames by row, with the names of their videos, and a coreset; some shots are flat."""
    names = {video.video: video.path for video in store.read_catalogue().videos}
    frames = store.frames().assign(video=lambda rows: rows["video"].map(names)).set_index("row")
    choice = Choice(budget=Budget(n_samples=n), keep_flat=True, sharpest_within=sharpest_within)
    return frames, choose_frames(store, choice, "cpu", cluster)


def trained(store: Store, folder: Path, seed: int, cluster: str) -> Path:
    """Train on a store's frames; the folder of the checkpoint."""
    folder.mkdir()
    with disable_run_logger():
        gathered = gather_frames(store, folder, DEFAULT_INPUT_PX, MOST_FRAMES, cluster)
        settings = TrainingSettings(max_epochs=EPOCHS, seed=seed)
        place = (None, "cpu", cluster, folder)
        train_network(gathered.frames, settings, DEFAULT_INPUT_PX, *place)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, help="folder of the videos that tests/shots.py cuts")
    parser.add_argument(
        "--simclr", type=int, nargs="*", default=[], metavar="SEED", help="train with these, too"
    )
    parser.add_argument("--embedder", nargs="+", default=[DESCRIPTOR], metavar="NAME")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        dask.config.set(DASK_SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        demo = Path(temporary, "demo")
        make_demo.build(demo)
        address = cluster.scheduler_address
        given = (address, arguments.embedder, arguments.simclr)
        compare("demo", demo, make_demo.scenes(), (20, 30, 40, 50), *given)
        if arguments.videos:
            sets = {"by eye": shots.FILES}
            sets |= {f"seed {seed}": shots.seeded_files(seed) for seed in shots.HELD_OUT}
            for name, shots_of in sets.items():
                real = Path(temporary, name)
                real.mkdir()
                truth = [
                    (file, start, stop, f"{file} {start}")
                    for file, cuts in shots.build(arguments.videos, real, files=shots_of).items()
                    for start, stop in cuts
                ]
                compare(f"shots, {name}", real, truth, (33, 40, 50, 66), *given)


if __name__ == "__main__":
    main()
