"""Waiting for a bucket is not the silence of a decoder."""

import os
import time

import pytest

from coreframe.tasks import watchdog
from coreframe.tasks.storage import files
from coreframe.tasks.storage.buckets import StoredObject
from coreframe.tasks.watchdog import watching


class Slow:
    def head(self, name: str) -> StoredObject:
        return StoredObject(name, 3, "")

    def get_range(self, name: str, start: int, length: int) -> bytes:
        time.sleep(0.5)
        return b"abc"[start : start + length]


def test_time_that_a_bucket_takes_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls: list[str] = []
    monkeypatch.setattr(watchdog, "CHECK_S", 0.05)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    monkeypatch.setattr(files, "in_bucket", lambda url: (Slow(), url))
    with watching(0.25, lambda: stalls.append("a decoder")):
        with files.open_file("s3://bucket/x") as file:
            assert file.read() == b"abc"
        assert stalls == []
        time.sleep(0.6)  # and what comes after it is
    assert stalls
