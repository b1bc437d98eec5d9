"""`coreframe columns add` that is killed: the store reads as before, and the next run ends it."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from coreframe.flows import columns as kept
from coreframe.tasks.check.task import check_store
from coreframe.tasks.store.columns import column_tables, read_block
from coreframe.tasks.store.store import Store
from tests.stores import make_store, walks

pytestmark = pytest.mark.integration

KILLED = """
import os, signal, sys
from coreframe.flows import columns
from coreframe.tasks.storage.folders import LocalFolder

store, file, last, after = sys.argv[1:]
write, calls = LocalFolder.write, [0]

def killing(self, name, data):
    if name.startswith("columns/"):
        calls[0] += 1
        if calls[0] == int(last):
            if after == "after":
                write(self, name, data)
            os.kill(os.getpid(), signal.SIGKILL)
    return write(self, name, data)

LocalFolder.write = killing
columns.add(store, "seen", file)
"""
"""Kills itself at one of the files that it writes, of which the last is the commit."""

BLOCKS = 4
MOMENTS = [(at, when) for at in range(1, BLOCKS + 2) for when in ("before", "after")]
"""Before and after each file; the suite takes two of them, `tests/trials` all."""


def said(store: Store) -> list[list[dict]]:
    """All that a store's columns say, block by block."""
    tables = column_tables(store)
    return [
        read_block(store, table, block).to_pylist()
        for _, table in sorted(tables.items())
        for block in sorted(table.blocks)
    ]


def lines(folder: Path, name: str, value: float) -> str:
    table = pd.DataFrame({"video": "v0.mp4", "frame_index": range(64), "value": value})
    table.to_csv(folder / name, index=False)
    return str(folder / name)


@pytest.mark.parametrize(("at", "when"), [(3, "before"), (BLOCKS + 1, "after")])
def test_what_was_killed_is_done_again(tmp_path: Path, cluster: str, at: int, when: str) -> None:
    look_after_a_kill(tmp_path, cluster, at, when)


def look_after_a_kill(tmp_path: Path, cluster: str, at: int, when: str) -> None:
    stores = [
        make_store(tmp_path / name, walks(64, 8, 1), [64], block_rows=16)
        for name in ("killed", "whole")
    ]
    first, second = lines(tmp_path, "1.csv", 1.0), lines(tmp_path, "2.csv", 2.0)
    for store in stores:
        kept.add(store.path, "seen", first)
    before = said(stores[0])
    given = [stores[0].path, second, str(at), when]
    ended = subprocess.run([sys.executable, "-c", KILLED, *given], check=False)
    assert ended.returncode == -signal.SIGKILL
    kept.add(stores[1].path, "seen", second)
    committed = (at, when) == (BLOCKS + 1, "after")
    assert said(stores[0]) == (said(stores[1]) if committed else before)
    assert check_store(stores[0], cluster, repair=False).files == []  # of columns
    kept.add(stores[0].path, "seen", second)
    assert said(stores[0]) == said(stores[1]) != before
    assert check_store(stores[0], cluster, repair=False).files == []  # of columns
