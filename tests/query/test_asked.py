"""How queries are written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.errors import UsageError
from coreframe.tasks.query.asked import Kind, Query, parse_query, seconds, spelled


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("text:a red car", (Kind.TEXT, "a red car", 0.0)),
        ("text:file:x", (Kind.TEXT, "file:x", 0.0)),
        ("file:text:x.png", (Kind.FILE, "text:x.png", 0.0)),
        ("frame:drive.mp4@62.5", (Kind.FRAME, "drive.mp4", 62.5)),
        ("frame:drive@home.mp4@1:02.5", (Kind.FRAME, "drive@home.mp4", 62.5)),
        ("frame:a:b.mp4@1:00:02", (Kind.FRAME, "a:b.mp4", 3602.0)),
        ("frame:a.mp4@90:00", (Kind.FRAME, "a.mp4", 5400.0)),
        ("frame:a.mp4@0", (Kind.FRAME, "a.mp4", 0.0)),
    ],
)
def test_a_prefix_says_what_it_is(text: str, query: tuple[Kind, str, float]) -> None:
    assert parse_query(text) == Query(text, *query)


def test_without_a_prefix_it_is_a_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("car.png", "frames:1.png", "text"):
        Path(name).touch()
        assert parse_query(name) == Query(name, Kind.FILE, name)
    for name in ("dog", "", "frames:2.png", str(tmp_path), "http://example.org/x.png", "File:x"):
        with pytest.raises(UsageError, match="file:PATH, frame:VIDEO@TIME or text:WORDS"):
            parse_query(name)


@pytest.mark.parametrize("text", ["text:", "text: ", "file:", "frame:", "frame:  "])
def test_a_prefix_alone_says_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="says nothing after its prefix"):
        parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        *(f"frame:{what}" for what in ("a.mp4", "@3", "a.mp4@", "a.mp4@soon", "a.mp4@-1")),
        *(f"frame:a.mp4@{time}" for time in ("1:60", "1:60:00", "1:2:3:4", "nan", "inf", ":5")),
        *(f"frame:a.mp4@{time}" for time in ("-1:00", "1.5:00", "1:-2")),
    ],
)
def test_what_names_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not frame:VIDEO@TIME"):
        parse_query(text)


@given(st.integers(0, 10**6))
def test_times_are_read_as_they_are_shown(tenths: int) -> None:
    assert seconds(spelled(tenths / 10)) == pytest.approx(tenths / 10, abs=1e-9)


def test_times_are_shown_in_minutes() -> None:
    assert [spelled(time) for time in (0, 59.96, 62.54, 3600, -0.5)] == [
        "0:00.0",
        "1:00.0",
        "1:02.5",
        "60:00.0",
        "-0:00.5",
    ]
