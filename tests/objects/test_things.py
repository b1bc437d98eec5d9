"""Small things are found that whole frames do not show."""

from pathlib import Path

import torch  # noqa: F401 - it starts processes when it is imported

from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from tests.objects.corpus import embed, write_csv
from tests.objects.things import HEIGHT, KINDS, SIDE, WIDTH, Thing, make_videos, things
from tests.runs import ingest

CHOSEN = 30


def test_ten_of_ten_kinds_are_chosen_by_objects_and_fewer_by_frames(
    tmp_path: Path, cluster: str
) -> None:
    every = things(seed=7)
    assert SIDE**2 < 0.01 * WIDTH * HEIGHT
    store, _ = ingest([make_videos(tmp_path / "videos", every)], tmp_path / "store", cluster)
    rows = [[t.video, t.frame_index, t.x, t.y, SIDE, SIDE, "", ""] for t in every]  # no kind
    counts = embed(store, [write_csv(tmp_path / "boxes.csv", rows)], cluster)
    assert counts.embedded == len(every)
    names = {video.video: video.path for video in store.read_catalogue().videos}

    def kinds(choice: Choice) -> set[int]:
        frames = choose_frames(store, choice, "cpu", cluster).frames
        assert len(frames) == CHOSEN
        keys = zip(frames["video"], frames["frame_index"], strict=True)
        chosen = {(names[video], frame) for video, frame in keys}
        return {thing.kind for thing in every if key(thing) in chosen}

    budget = Budget(CHOSEN)
    assert kinds(Choice(budget=budget, objects=True)) == set(range(KINDS))
    by_frames = len(kinds(Choice(budget=budget)))
    by_frames_as_usual = len(kinds(Choice(budget=budget, sharpest_within=None)))
    print(f"whole frames find {by_frames} of {KINDS} kinds, exchanged ones {by_frames_as_usual}")
    assert max(by_frames, by_frames_as_usual) < KINDS


def key(thing: Thing) -> tuple[str, int]:
    return thing.video, thing.frame_index
