"""Nights with odd files, each of which ends as `deployments/README.md` says."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from coreframe.flows.choosing import Selecting
from coreframe.flows.curate import curate
from coreframe.flows.forget import forget
from coreframe.flows.outcome import Outcome
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.tasks.datasets.formats import export_dataset
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.store import Store
from tests.flows.again import records
from tests.flows.odd import decode_differently
from tests.runs import content, run
from tests.videos import clips

NAMES = [f"clip-{number:02d}" for number in range(24)]
THRESHOLD = 0.2
UNREADABLE = "/proc/self/mem"
"""Can be opened, but not read, by whomever."""


class Nights:
    """A corpus, its store, and what must be true of both after each night."""

    def __init__(self, place: Path, cluster: str, deadly: str) -> None:
        """Make the corpus, and learn what each video's rows are, from a store of all at once.

        Args:
            place: a folder.
            cluster: for most nights.
            deadly: in which some decoders crash; see `tests.deadly`.
        """
        self.place, self.cluster, self.deadly = place, cluster, deadly
        self.videos = clips(place / "videos", NAMES)
        clips(place / "more", [*NAMES, "crash-open", "crash-decode", "x", "y"])
        self.rows = self._rows(run(place / "more", place / "at-once", cluster)[0])
        self.store = str(place / "store")
        self.out = place / "out"
        self.picks: list[int] = []
        self.gone: set[str] = set()
        """Videos whose frames do not stay chosen."""
        self.number = 0

    @staticmethod
    def _rows(store: Store) -> dict[tuple[int, ...], bytes]:
        """Of each video, its frames' vectors by its frames' digests."""
        frames, vectors = content(store)
        return {
            tuple(own["digest"]): vectors[own.index].tobytes() for _, own in frames.groupby("video")
        }

    def chosen(self, number: int = 0) -> str:
        """The name of a video with chosen frames, another for each number."""
        table = pd.read_parquet(self.out / "selection.parquet")
        active = {v.path for v in Store.open(self.store).read_catalogue().videos if v.active}
        return str([name for name in table["video"].unique() if name in active][number])

    def break_one(self) -> None:
        """Let a broken file appear, and one that is no video."""
        (self.videos / "broken.mp4").write_bytes(b"no video at all")
        (self.videos / "notes.txt").write_text("no video, and no reason for a warning")

    def break_too_many(self) -> None:
        """Let more broken ones appear than the threshold allows."""
        for number in range(4):
            (self.videos / f"broken-{number}.mp4").write_bytes(b"%d is no video either" % number)

    def let_one_decode_differently(self) -> tuple[str, str]:
        """Let a chosen video do so: its name, and what is to be said of it."""
        name = self.chosen()
        decode_differently(Store.open(self.store), name)
        return name, f"1 video is taken out (quarantined): {name}: it does not decode to what was"

    def make_one_unreadable(self, number: int = 0) -> tuple[str, str]:
        """Make a chosen video so: its name, and what is to be said of it."""
        name = self.chosen(number)
        (self.videos / name).unlink()
        (self.videos / name).symlink_to(UNREADABLE)
        return name, f"1 video is left out for now: {name}: its file cannot be read: "

    def night(
        self,
        outcome: Outcome,
        *said: str,
        changes: dict[str, int],
        forgotten: int = 0,
        deadly: bool = False,
    ) -> None:
        """Run one, and look at all that it leaves.

        Args:
            outcome: as which it must end.
            said: what its warnings, or what it fails with, must say.
            changes: how many videos of each kind it must tell of.
            forgotten: how many files it must pass over.
            deadly: whether decoders crash in it.
        """
        self.number += 1
        cluster = self.deadly if deadly else self.cluster
        try:
            result = curate(
                store=self.store,
                out=str(self.out),
                corpus=Sources(videos=[str(self.videos)], corrupt_threshold=THRESHOLD),
                ingestion=Ingestion(block_rows=10),
                selecting=Selecting(name="nightly", n_samples=10 + self.number),
                compute=Compute(cluster=cluster),
            )
            ended = Outcome.WARNED if result["warnings"] else Outcome.COMPLETED
            told = "; ".join(result["warnings"])
        except CoreframeError as error:
            ended, told = Outcome.FAILED, str(error)
        assert (self.number, ended) == (self.number, outcome), told
        record = records(self.place)[-1]
        assert record["outcome"] == outcome, self.number
        assert {kind: found["count"] for kind, found in record["changes"].items()} == changes
        assert record["counts"]["files"].get("forgotten", 0) == forgotten
        assert all(words in told for words in said), told
        self._check_rows()
        self._check_picks()

    def _check_rows(self) -> None:
        """Every video of the corpus has the rows that it has in a store of all at once."""
        store = Store.open(self.store)
        frames, vectors = content(store)
        for video in store.read_catalogue().videos:
            own = frames[frames["video"] == video.video]
            if video.state == "forgotten":
                assert own.empty
                rows = np.arange(video.first_row, video.first_row + video.rows)
                assert not store.read_rows(rows).any()
            elif video.state == "ok":
                assert own["row"].tolist() == list(
                    range(video.first_row, video.first_row + video.rows)
                )
                assert self.rows[tuple(own["digest"])] == vectors[own.index].tobytes()

    def _check_picks(self) -> None:
        """What was chosen stays, but of videos that are taken out; then the farthest, one by one.

        Every file that is listed is there, and it can be exported.
        """
        table = pd.read_parquet(self.out / "selection.parquet")
        files = table["file"].dropna()
        assert all((self.out / file).is_file() for file in files)
        assert export_dataset(self.out, "csv", None, self.store).frames == len(files)
        store = Store.open(self.store)
        numbers = {v.video: v for v in store.read_catalogue().videos}
        frames, _ = content(store)
        taken_out = [n for n, v in numbers.items() if v.state in ("quarantined", "forgotten")]
        held = set(frames[~frames["video"].isin(taken_out)]["row"])
        kept = [row for row in self.picks if row in held]
        corpus = frames[frames["video"].isin([n for n, v in numbers.items() if v.active])]
        corpus = corpus.drop_duplicates("digest")["row"].to_numpy()
        picks = table["row"].tolist()
        assert picks[: len(kept)] == kept
        own, vectors = (store.read_rows(rows).astype(np.int64) for rows in (corpus, picks))
        for place in range(max(1, len(kept)), 10 + self.number):
            nearest = ((own[:, None] - vectors[None, :place]) ** 2).sum(axis=2).min(axis=1)
            nearest[np.isin(corpus, picks[:place])] = -1
            assert picks[place] == corpus[nearest.argmax()], (self.number, place)
        assert len(picks) == 10 + self.number
        self.picks = picks


def ten_nights(place: Path, cluster: str, deadly: str) -> None:
    """Odd files appear, change, disappear, cannot be read, kill, decode differently, are forgotten.

    None is red but the one in which too many are broken, and that one is whole as well.
    """
    nights = Nights(place, cluster, deadly)
    videos, more = nights.videos, place / "more"
    nights.night(Outcome.COMPLETED, changes={"new": 24})
    nights.break_one()
    nights.night(Outcome.WARNED, "1 video is broken: broken.mp4: ", changes={"unusable": 2})
    for name in ("crash-open.mp4", "crash-decode.mp4"):
        shutil.copy(more / name, videos)
    said = "2 videos are taken out (quarantined): crash-"
    nights.night(Outcome.WARNED, said, changes={"quarantined": 2}, deadly=True)
    changed, said = nights.let_one_decode_differently()
    nights.night(Outcome.WARNED, said, changes={"quarantined": 1})
    nights.night(Outcome.COMPLETED, changes={})  # it is said once
    (videos / nights.chosen(1)).unlink()
    unreadable, said = nights.make_one_unreadable()
    nights.night(Outcome.WARNED, said, changes={"gone": 2})
    (videos / unreadable).unlink()
    shutil.copy(more / unreadable, videos)
    shutil.copy(more / "x.mp4", videos / nights.chosen(2))
    nights.night(Outcome.COMPLETED, changes={"back": 1, "changed": 1})
    forget(nights.store, [nights.chosen(3)])
    nights.night(Outcome.COMPLETED, changes={}, forgotten=1)
    nights.break_too_many()
    said = "more than the threshold of 0.2"
    nights.night(Outcome.FAILED, said, changes={"unusable": 4}, forgotten=1)
    for path in videos.glob("broken-*"):
        path.unlink()
    shutil.copy(more / "y.mp4", videos / changed)  # mended
    nights.night(Outcome.COMPLETED, changes={"changed": 1}, forgotten=1)


def three_nights(place: Path, cluster: str) -> None:
    """Some of the ten, as many of them at once as may be."""
    nights = Nights(place, cluster, cluster)
    nights.night(Outcome.COMPLETED, changes={"new": 24})
    nights.break_one()
    forget(nights.store, [nights.chosen(3)])
    _, different = nights.let_one_decode_differently()
    (nights.videos / nights.chosen(1)).unlink()
    _, unreadable = nights.make_one_unreadable(2)
    told = {"gone": 2, "quarantined": 1, "unusable": 2}
    said = (different, unreadable, "1 video is broken: broken.mp4: ")
    nights.night(Outcome.WARNED, *said, changes=told, forgotten=1)
    nights.break_too_many()
    said = ("more than the threshold of 0.2",)
    nights.night(Outcome.FAILED, *said, changes={"unusable": 4}, forgotten=1)
