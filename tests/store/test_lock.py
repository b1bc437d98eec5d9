import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import coreframe.tasks.store.lock as lock
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.lock import LOCK, Holder, LeaseTimes, writing
from coreframe.tasks.store.settings import StoreSettings
from coreframe.tasks.store.store import Store

SETTINGS = StoreSettings("descriptor", "descriptor-1", 5, 64, "all", "", block_rows=4)

pytestmark = pytest.mark.integration  # other processes hold the lock

HOLD = """
import sys, time
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.store import Store
with writing(Store.open(sys.argv[1]), "the nightly run blue-whale"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return Store.open_or_create(f"{request.getfixturevalue('bucket')}/store", SETTINGS)
    return Store.open_or_create(tmp_path / "store", SETTINGS)


def held_elsewhere(store: Store) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_writer_is_told_of_the_first_which_may_die(store: Store) -> None:
    first = held_elsewhere(store)
    try:
        with (
            pytest.raises(
                CoreframeError,
                match=rf"by the nightly run blue-whale \(process {first.pid} on .*--wait",
            ),
            writing(store, "mine"),
        ):
            pass
    finally:
        os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    started = time.monotonic()
    with writing(store, "mine"):
        assert json.loads(store.folder.read(LOCK))["run"] == "mine"
    first.wait()
    assert time.monotonic() - started < 5  # no need to wait for a lease to end
    with writing(store, "mine again"):
        pass


def test_the_second_writer_may_wait(store: Store) -> None:
    order = []

    def second() -> None:
        with writing(Store.open(store.path), "second", wait_s=30):
            order.append("second")

    with writing(store, "first"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1.5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_writer_on_another_machine_counts_until_its_lease_ends(store: Store) -> None:
    with writing(store, "theirs"):
        found = store.folder.read(LOCK)
    assert found != lock.RELEASED
    theirs = replace(Holder(**json.loads(found)), where="another machine")
    assert store.folder.swap(LOCK, lock.RELEASED, lock._written(theirs))
    with pytest.raises(CoreframeError, match="by theirs"), writing(store, "mine"):
        pass
    ended = replace(theirs, until_s=time.time() - 1)
    assert store.folder.swap(LOCK, lock._written(theirs), lock._written(ended))
    with writing(store, "mine"):
        pass


def test_a_lease_that_was_taken_over_is_noticed(store: Store) -> None:
    with writing(store, "mine", times=LeaseTimes(renew_s=0.1)):
        store.guard()
        first = Holder(**json.loads(store.folder.read(LOCK)))
        time.sleep(0.5)
        assert Holder(**json.loads(store.folder.read(LOCK))).until_s > first.until_s  # renewed
        store.folder.write(LOCK, lock._written(replace(first, token="theirs", run="theirs")))
        time.sleep(0.5)
        with pytest.raises(CoreframeError, match="another may write to the store by now"):
            store.write_catalogue(store.read_catalogue())
    assert json.loads(store.folder.read(LOCK))["run"] == "theirs"  # it is not ours to give back


def test_of_many_at_once_one_writes_at_a_time(store: Store) -> None:
    inside, most = 0, 0
    counted = []

    def work(number: int) -> None:
        nonlocal inside, most
        with writing(Store.open(store.path), f"run {number}", wait_s=60):
            inside += 1
            most = max(most, inside)
            counted.append(number)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(counted) == list(range(6))


def test_a_torn_lock_is_nobody_s(store: Store) -> None:
    store.folder.write(LOCK, b'{"token": "x", "ru')
    with writing(store, "mine"):
        pass
