"""Interrupts of the command: it ends in seconds, says so, and goes on the next time."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from coreframe.flows.supervisor import GRACE_S
from tests.flows.interrupts import (
    Interrupt,
    again,
    check_end,
    content,
    difference,
    interrupted,
    make_videos,
)

pytestmark = pytest.mark.integration

SOON_S = 200.0


def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    make_videos(tmp_path)
    ctrl_c = Interrupt("curate", signal.SIGINT, "terminal", 1, 0.0, 1.0, False, True)
    ended = interrupted(ctrl_c, tmp_path, SOON_S, begun=lambda said: b"starting" in said)
    check_end(ctrl_c, ended)
    assert ended.status == 130
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "prefect"}


def test_a_signal_to_the_group_in_the_middle(tmp_path: Path, server: str) -> None:
    place, store = tmp_path / "work", tmp_path / "work" / "store"
    make_videos(place)
    again("ingest", place, server)
    expected = content(place)
    shutil.rmtree(store)

    signal_to_all = Interrupt("ingest", signal.SIGTERM, "group", 1, 0.0, 1.0, False, False)
    lock = store / "lock.json"
    ended = interrupted(signal_to_all, place, SOON_S, server, begun=lambda _: lock.exists())
    check_end(signal_to_all, ended)
    assert ended.status == 143
    if ended.seconds < GRACE_S:  # a machine that is very busy may not let it end in order
        (record,) = (json.loads(path.read_text()) for path in (store / "runs").iterdir())
        assert record["outcome"] == "interrupted"
        assert "pid" not in json.loads(lock.read_text())  # its lease is given back

    again("ingest", place, server)
    assert difference(expected, content(place)) == []
