from pathlib import Path

import pytest

from coreframe.tasks.storage.fingerprint import PIECE_BYTES, PIECES, fingerprint
from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState, unique_name


def video(**changes: object) -> Video:
    return Video(0, "a.mp4", "/in/a.mp4", "f", 10, VideoState.PENDING, rows=10, **changes)  # type: ignore[arg-type]


def test_table_round_trip() -> None:
    catalogue = Catalogue([video(note='odd "name"\n', duration_s=1.5)])
    table = catalogue.to_table()
    assert table["state"].to_pylist() == ["pending"]
    assert Catalogue.from_table(table).videos == catalogue.videos
    assert Catalogue.from_table(table).videos[0].state is VideoState.PENDING


@pytest.mark.parametrize(
    ("decoded", "undecodable", "state"),
    [(4, 0, "pending"), (10, 0, "ok"), (9, 1, "damaged"), (0, 10, "broken"), (3, 2, "pending")],
)
def test_state_follows_from_counts(decoded: int, undecodable: int, state: str) -> None:
    catalogue = Catalogue([video()])
    catalogue.counted(0, decoded, undecodable)
    assert catalogue.videos[0].state == state
    assert ("cannot be decoded" in catalogue.videos[0].reason) == (state in ("damaged", "broken"))


def test_equal_names_get_parent_folders() -> None:
    assert unique_name("a.mp4", "/x/b/a.mp4", {"c.mp4"}) == "a.mp4"
    assert unique_name("a.mp4", "/x/b/a.mp4", {"a.mp4"}) == "b/a.mp4"
    assert unique_name("a.mp4", "/x/b/a.mp4", {"a.mp4", "b/a.mp4"}) == "x/b/a.mp4"


def test_fingerprint_sees_content_and_size_not_name(tmp_path: Path) -> None:
    large = bytes(PIECES * PIECE_BYTES + 5)
    for content in (b"", b"abc", large):
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_bytes(content)
        two.write_bytes(content)
        assert fingerprint(one) == fingerprint(two)
        two.write_bytes(content + b"\0")
        assert fingerprint(one) != fingerprint(two)
        if content:
            for place in (0, len(content) - 1):
                changed = bytearray(content)
                changed[place] ^= 1
                two.write_bytes(changed)
                assert fingerprint(one) != fingerprint(two)
