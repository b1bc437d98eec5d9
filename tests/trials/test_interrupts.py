"""What `tests/flows/test_interrupts.py` does, with 60 seeds, and once in the middle of the work."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from coreframe.flows.supervisor import GRACE_S
from tests.flows.interrupts import (
    SOON_S,
    Interrupt,
    Trials,
    again,
    check_end,
    content,
    difference,
    interrupted,
    make_videos,
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory, server: str) -> Trials:
    return Trials(tmp_path_factory.mktemp("interrupts"), server)


@pytest.mark.parametrize("seed", range(60))
def test_an_interrupted_command_ends_at_once_and_goes_on_the_next_time(
    seed: int, trials: Trials
) -> None:
    trials.try_seed(seed)


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
