"""What opens videos apart may hang or crash: whoever asked hears of it and asks again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.video.apart import Apart
from coreframe.tasks.video.look import Looker

pytestmark = pytest.mark.integration


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Apart]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with Apart("tests.slow_answers") as started:
        yield started


def test_answers_come_one_by_one_and_a_hanging_process_is_ended(apart: Apart) -> None:
    assert list(apart.ask([0, 0.01], 60)) == [0, 0.01]
    process = apart._process
    assert list(apart.ask([], 60)) == []
    assert apart._process is process
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        list(apart.ask([0, 1000], 1.0))
    assert time.monotonic() - began < 30
    assert process is not None
    assert process.returncode is not None
    with pytest.raises(EOFError):
        list(apart.ask([-1], 60))
    for answer in apart.ask([0, 0.02], 60):  # left in the middle
        assert answer == 0
        break
    assert list(apart.ask([0.03], 60)) == [0.03]


def test_files_are_looked_at_elsewhere(made_videos: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with Looker() as looker:
        looker.look(str(made_videos["closed_gop.mp4"]), 100, 60)
        with pytest.raises(NotAVideoError, match="a text"):
            looker.look(str(text), 100, 60)
        with pytest.raises(BrokenVideoError, match="No such file"):
            looker.look(str(tmp_path / "nothing.mp4"), 100, 60)
    with Looker() as again:
        again.look(str(made_videos["closed_gop.mp4"]), 100, 0)  # it is known by now
        assert again._apart._process is None
