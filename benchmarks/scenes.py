"""How many scenes of a corpus each method of selection shows, at several numbers of frames.

On the demo's corpus, and, given the folder of the videos that `tests/shots.py` cuts, on real shots.

    python benchmarks/scenes.py [--videos FOLDER]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import dask
import numpy as np
from dask.distributed import LocalCluster

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data")]

import make_demo  # noqa: E402
from flows.cluster import SETTINGS  # noqa: E402
from tasks.select import baseline_rows, select_frames  # noqa: E402
from tasks.selection.choice import Budget, Choice  # noqa: E402
from tests import shots  # noqa: E402
from tests.runs import ingest, scenes_hit  # noqa: E402

RANDOM_SEEDS = 50


def compare(
    name: str,
    folder: Path,
    scenes: list[tuple[str, int, int, str]],
    counts: tuple[int, ...],
    cluster: str,
) -> None:
    """Print one line for each number of frames."""
    store, _ = ingest([folder], folder.with_name(f"{folder.name}-store"), cluster)
    names = {video.video: video.path for video in store.read_catalogue().videos}
    frames = store.frames().assign(video=lambda rows: rows["video"].map(names)).set_index("row")
    budget = Budget(n_samples=max(counts))
    selection = select_frames.fn(store, Choice(budget=budget), "cpu", cluster)
    total = len({scene for *_, scene in scenes})
    for count in counts:
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
            f"{name}: {total} scenes, {len(frames)} frames, {count} kept: coreset {coreset}, "
            f"fixed rate {others['fixed-rate']:.0f}, random {others['random']:.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, help="folder of the videos that tests/shots.py cuts")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        demo = Path(temporary, "demo")
        make_demo.build(demo)
        compare("demo", demo, make_demo.scenes(), (20, 30, 40, 50), cluster.scheduler_address)
        if arguments.videos:
            real = Path(temporary, "shots")
            real.mkdir()
            truth = [
                (file, start, stop, f"{file} {start}")
                for file, cuts in shots.build(arguments.videos, real).items()
                for start, stop in cuts
            ]
            compare("shots", real, truth, (33, 50, 66), cluster.scheduler_address)


if __name__ == "__main__":
    main()
