"""Random single faults in a small store: whatever file, none may pass for sound and be read."""

import contextlib
import io
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coreframe.flows.terminal import show_store
from coreframe.tasks.check.files import open_to_check
from coreframe.tasks.check.task import check_store
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.forget.task import forget, what_goes
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.store.corpus import FRAME_COLUMNS, read_corpus
from coreframe.tasks.store.seals import sealed_json
from coreframe.tasks.store.settings import RUNS
from coreframe.tasks.store.store import Store
from tests.night import night
from tests.runs import run
from tests.videos import clips

N_NIGHTS = 3
PICKS = 6
BLOCK_ROWS = 32
Refused = (CoreframeError, UsageError)


@dataclass(frozen=True)
class Nights:
    """A store as it was after each of some nights, and its videos."""

    videos: Path
    stores: list[Path]

    @classmethod
    def make(cls, folder: Path, cluster: str) -> "Nights":
        """Grow a store: some clips a night, one of which goes in the end, and a kept selection."""
        videos, stores = folder / "videos", []
        videos.mkdir()
        made = clips(folder / "made", [f"{one:02d}" for one in range(6 * N_NIGHTS)])
        for number in range(N_NIGHTS):
            for path in sorted(made.iterdir())[:6]:
                path.rename(videos / path.name)
            if number == N_NIGHTS - 1:
                (videos / "03.mp4").unlink()
            night(videos, folder / "store", PICKS * (number + 1), cluster)
            picks(folder / "store", None, skip_outliers=0.2)  # so there are neighbours
            if number:  # so there is an earlier night's list
                store = Store.open(folder / "store")
                forget(store, what_goes(store, [f"{number + 3:02d}.mp4"])[0])
            place = f"{RUNS}/2026110{number}.json"  # as flows leave it
            record = {"flow": "curate", "outcome": "completed"}
            Store.open(folder / "store").folder.write(place, sealed_json(place, record))
            stores.append(folder / f"after-{number}")
            shutil.copytree(folder / "store", stores[-1])
        return cls(videos, stores)

    def again(self, store: Path, cluster: str) -> None:
        """Another run over the same videos."""
        run(self.videos, store, cluster, block_rows=BLOCK_ROWS)


def without_generation(path: Path, store: Path) -> str:
    return re.sub(r"(nightly|neighbours)/\d+", r"\1", str(path.relative_to(store)))


def damage(nights: Nights, store: Path, rng: random.Random) -> str:
    """Damage one file of a copy of the last night's store, and say how."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    kinds = sorted({re.sub(r"\d+|[0-9a-f]{32}", "#", without_generation(p, store)) for p in files})
    kind = rng.choice(kinds)  # there are more of some than of others
    path = rng.choice(
        [
            path
            for path in files
            if re.sub(r"\d+|[0-9a-f]{32}", "#", without_generation(path, store)) == kind
        ]
    )
    name, data = without_generation(path, store), path.read_bytes()
    how = rng.choice(["flip", "cut", "gone", "night", "other"])
    if how == "flip" and data:
        place = rng.randrange(len(data))
        bit = rng.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        return f"{name}: bit {bit} of byte {place} of {len(data)}"
    if how == "cut" and data:
        left = rng.randrange(len(data))
        path.write_bytes(data[:left])
        return f"{name}: cut to {left} of {len(data)} bytes"
    if how == "night":
        earlier = rng.choice(nights.stores[:-1])
        for other in sorted(earlier.rglob("*")):
            if other.is_file() and without_generation(other, earlier) == name:
                shutil.copy(other, path)
                return f"{name}: that of {earlier.name}"
    if how == "other":
        others = [other for other in files if other.parent == path.parent and other != path]
        others += [other for other in files if "/c/" in str(path) and "/c/" in str(other)]
        if others:
            other = rng.choice(others)
            path.write_bytes(other.read_bytes())
            return f"{name}: {without_generation(other, store)}"
    path.unlink()
    return f"{name}: gone"


def picks(store: Path, name: str | None, skip_outliers: float = 0.0) -> list[Any]:
    opened = Store.open(store)
    budget = Budget(PICKS * N_NIGHTS + 4)
    choice = Choice(budget=budget, name=name, skip_outliers=skip_outliers)
    found = choose_here(opened, choice, "cpu")
    return found.frames.drop(columns="digest").to_numpy().tolist()


def rows(store: Path) -> list[Any]:
    opened = Store.open(store)
    frames = read_corpus(opened, FRAME_COLUMNS)
    every = frames["row"].to_numpy()
    return [frames.to_csv(), opened.read_rows(every).tobytes(), opened.frames_at(every).to_csv()]


def indexes(store: Path) -> list[Any]:
    opened = Store.open(store)
    found: list[Any] = []
    for video in opened.read_catalogue().videos:
        if not video.active:  # its index is made again when its file is back
            found.append(video.path)
            continue
        facts, index = opened.read_facts_and_index(video.fingerprint)
        values = vars(index).values()
        found += [video, facts]
        found += [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]
    return found


def shown(store: Path) -> list[Any]:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        show_store(Store.open(store))
    # What is lost of a video whose file is gone cannot be embedded again, and is told.
    return [line for line in text.getvalue().splitlines() if not re.search("missing|/", line)]


READS: dict[str, Callable[[Path], list[Any]]] = {
    "info": shown,
    "rows": rows,
    "indexes": indexes,
    "select": lambda store: picks(store, None),
    "select --skip-outliers": lambda store: picks(store, None, 0.2),
    "select --name": lambda store: picks(store, "nightly"),
}


def read_all(store: Path, folder: Path) -> dict[str, str]:
    """What each command reads: what comes of it, or the sentence that refuses it."""
    found = {}
    for name, read in READS.items():
        copy = folder / "read"  # a selection with a name writes
        shutil.copytree(store, copy)
        try:
            found[name] = repr(read(copy))
        except Refused as refused:
            found[name] = f"refused: {refused}"
        shutil.rmtree(copy)
    return found


def check(store: Path, cluster: str, *, repair: bool) -> Any:
    return check_store(open_to_check(str(store)), cluster, repair=repair)


def fault(nights: Nights, folder: Path, cluster: str, seed: int, expected: dict[str, str]) -> str:
    """Make one fault, and look that it is found, refused, and mended.

    Returns:
        What was done, and what came of it.
    """
    store = folder / f"store-{seed}"
    shutil.copytree(nights.stores[-1], store)
    what = damage(nights, store, random.Random(seed))
    found = read_all(store, folder)
    refused = {name for name, value in found.items() if value.startswith("refused: ")}
    for name in expected.keys() - refused:
        assert found[name] == expected[name], f"{seed}: {what}: {name} reads something else"
    with contextlib.suppress(*Refused):
        nights.again(shutil.copytree(store, folder / f"again-{seed}"), cluster)
        after = read_all(folder / f"again-{seed}", folder)
        for name, value in after.items():
            same = value.startswith("refused: ") or value == expected[name]
            assert same, f"{seed}: {what}: after a run {name} reads something else"
    shutil.rmtree(folder / f"again-{seed}")
    checked = check(store, cluster, repair=False)
    assert not (checked.sound and refused), f"{seed}: {what}: sound, but {found}"
    if checked.sound:
        shutil.rmtree(store)
        return f"{what}: harmless"
    assert checked.described()
    mended = check(store, cluster, repair=True)
    # A kept selection may have chosen frames of the video whose file is gone.
    lost = mended.lost or mended.unavailable
    nights.again(store, cluster)
    after = read_all(store, folder)
    for name, value in after.items():
        left = lost and name == "select --name" and value.startswith("refused: ")
        assert left or value == expected[name], f"{seed}: {what}: {name} is not mended: {value}"
    again = check(store, cluster, repair=False)
    assert again.sound or lost, f"{seed}: {what}: {again.described()}"
    shutil.rmtree(store)
    return f"{what}: {'refused' if lost else 'mended'}"
