"""Trials of one deadly video among many: `make test` runs them with few."""

from pathlib import Path

from tests.runs import by_name, bytes_of, content, run
from tests.videos import clips


def one_crashes(where: str, place: Path, processes: str, cluster: str, *, videos: int) -> None:
    """One kills the workers that read it: it is quarantined, and the others are as without it.

    Args:
        where: its name, see `tests.deadly`.
        place: a folder.
        processes: a cluster in which it is deadly.
        cluster: one in which it is not.
        videos: how many there are.
    """
    names = [f"clip-{number:03d}" for number in range(videos)]
    names[videos * 77 // 200] = where
    folder = clips(place / "videos", names)
    store, counts = run(folder, place / "store", processes)
    found = by_name(store)
    bad = found.pop(where)
    assert (bad.state, bad.attempts, bad.decoded) == ("quarantined", 3, 0)
    assert bad.reason.startswith("it killed 3 workers that ")
    assert {video.state for video in found.values()} == {"ok"}
    assert len(found) == videos - 1
    assert counts.quarantined == (where == "crash-decode")

    before = bytes_of(place / "store")
    _, counts = run(folder, place / "store", processes)  # it is not tried again
    assert (counts.blocks, counts.frames) == (0, 0)
    assert bytes_of(place / "store") == before

    tried, _ = run(folder, place / "store", processes, retry=True)
    assert (by_name(tried)[where].state, by_name(tried)[where].attempts) == ("quarantined", 6)
    mended, counts = run(folder, place / "store", cluster, retry=True)
    assert by_name(mended)[where].state == "ok"
    assert counts.frames == 4

    alone, _ = run(folder, place / "alone", cluster)
    mine, theirs = content(mended), content(alone)
    if where == "crash-decode":  # its rows were planned, so even their numbers are the same
        assert mine[0].equals(theirs[0])
        assert (mine[1] == theirs[1]).all()
    assert sorted(mine[0]["digest"]) == sorted(theirs[0]["digest"])


def one_hangs(where: str, place: Path, processes: str, *, videos: int) -> None:
    """One is never done: it is quarantined, and the others are not."""
    names = [f"clip-{number:03d}" for number in range(videos)]
    names[7] = where
    folder = clips(place / "videos", names)
    store, _ = run(folder, place / "store", processes, limit_s=2)
    found = by_name(store)
    bad = found.pop(where)
    assert (bad.state, bad.attempts) == ("quarantined", 2)
    assert "for 2 s" in bad.reason
    assert {video.state for video in found.values()} == {"ok"}
    assert not store.folder.names("stalled")
