"""An interrupt of the command: it ends in seconds, and says so; `make trials` makes 60 more."""

import signal
from pathlib import Path

import pytest

from tests.flows.interrupts import SOON_S, Interrupt, check_end, interrupted, make_videos

pytestmark = pytest.mark.integration


def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    make_videos(tmp_path)
    ctrl_c = Interrupt("curate", signal.SIGINT, "terminal", 1, 0.0, 1.0, False, True)
    ended = interrupted(ctrl_c, tmp_path, SOON_S, begun=lambda said: b"starting" in said)
    check_end(ctrl_c, ended)
    assert ended.status == 130
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "prefect"}
