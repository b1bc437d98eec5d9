"""Drawing plots in a process of its own, which gets ready early, and the script that is kept."""

from pathlib import Path

import pytest

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.report import draw

pytestmark = pytest.mark.integration

BAR = {"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}


def test_a_process_that_got_ready_draws_the_same() -> None:
    at_once = draw.draw({"one": BAR}, {"background": "white"})
    draw.prepare()
    ready = draw._ready
    draw.prepare()
    assert draw._ready is ready  # one is enough
    assert draw.draw({"one": BAR}, {"background": "white"}) == at_once
    assert at_once.pictures["one"].startswith(b"\x89PNG")
    assert "vegaEmbed" in at_once.script


def test_what_cannot_be_drawn_is_a_sentence() -> None:
    with pytest.raises(CoreframeError, match="the plots cannot be drawn"):
        draw.draw({"one": {"mark": "no such mark"}}, {})
    draw.prepare()
    assert draw._ready is not None
    draw._ready.kill()
    draw._ready.wait()
    with pytest.raises(CoreframeError, match="the plots cannot be drawn"):
        draw.draw({"one": BAR}, {})
    draw.draw({"one": BAR}, {})


def test_the_script_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def bundle() -> str:
        made.append(1)
        return "the\nscript\n"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    for _ in range(2):
        assert draw.kept_script(bundle) == "the\nscript\n"
    assert len(made) == 1
    (kept,) = (tmp_path / "new" / "coreframe").iterdir()
    for damaged in (b"", b"\xff", kept.read_bytes()[:-1], b"x" + kept.read_bytes()):
        kept.write_bytes(damaged)
        assert draw.kept_script(bundle) == "the\nscript\n"
    assert len(made) == 5
    assert [*kept.parent.iterdir()] == [kept]

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # where nothing can be kept
    assert draw.kept_script(bundle) == "the\nscript\n"
