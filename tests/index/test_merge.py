from dataclasses import replace
from pathlib import Path

from coreframe.tasks.index.merge import merge
from coreframe.tasks.store.catalogue import Catalogue, Change, Video, VideoState, changes
from tests.powers import obeying_modes


def embedded(path: Path) -> Video:
    """A video of ten embedded frames, not yet numbered."""
    return Video(
        video=-1,
        path=path.name,
        source=str(path),
        fingerprint=path.name,
        size_bytes=1,
        state=VideoState.OK,
        rows=10,
        decoded=10,
    )


def test_videos_in_a_folder_that_cannot_be_read_are_missing_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    places = [tmp_path / "a.mp4", tmp_path / "locked" / "b.mp4"]
    for place in places:
        place.touch()
    catalogue = Catalogue()
    merge(catalogue, map(embedded, places))
    before = list(catalogue.videos)
    (tmp_path / "locked").chmod(0)
    with obeying_modes():
        assert merge(catalogue, [embedded(places[0])]) == [0]
        missing = catalogue.videos[1]
        assert (missing.state, missing.rows) == (VideoState.MISSING, 10)
        assert missing.reason == "its folder cannot be read now (Permission denied)"
        # a copy elsewhere is another video: nobody knows that this one has moved
        copy = replace(embedded(places[1]), source=str(tmp_path / "copy.mp4"))
        assert merge(catalogue, [embedded(places[0]), copy]) == [0, 2]
    (tmp_path / "locked").chmod(0o700)
    (tmp_path / "copy.mp4").touch()
    then = list(catalogue.videos)
    assert merge(catalogue, [embedded(places[0]), embedded(places[1]), copy]) == [0, 1, 2]
    assert catalogue.videos[1] == before[1]
    assert changes(then, catalogue.videos) == {Change.BACK: [before[1].path]}
