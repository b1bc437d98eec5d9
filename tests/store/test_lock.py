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
from coreframe.tasks.errors import CoreframeError, OutOfReachError
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
    released = store.folder.read(LOCK)
    assert released != found
    theirs = replace(Holder(**json.loads(found)), where="another machine")
    assert store.folder.swap(LOCK, released, lock._written(theirs))
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


class Loses:
    """A folder whose conditional writes are done, but some of whose answers never come."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lose, self.done = False, 0
        swap = store.folder.swap

        def losing(name: str, before: bytes | None, after: bytes) -> bool:
            answer = swap(name, before, after)
            self.done += answer
            if self.lose:
                raise OutOfReachError("no answer came for five minutes")
            return answer

        monkeypatch.setattr(store.folder, "swap", losing)


def test_a_lease_whose_answer_was_lost_is_nobody_s(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loses = Loses(store, monkeypatch)
    loses.lose = True
    with pytest.raises(OutOfReachError), writing(store, "mine"):
        pass
    assert json.loads(store.folder.read(LOCK))["run"] == "mine"
    loses.lose = False
    with writing(store, "mine again"):  # by the same process, which lives
        assert json.loads(store.folder.read(LOCK))["run"] == "mine again"
        loses.lose = True  # and it is given back, unknown to it
    loses.lose = False
    with writing(store, "and again"):
        pass


def test_a_lease_that_was_renewed_unknown_to_its_owner_is_not_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loses = Loses(store, monkeypatch)
    with writing(store, "mine", times=LeaseTimes(lease_s=0.5, renew_s=0.05)):
        loses.lose = True
        time.sleep(0.7)  # renewed several times, and never told so
        with pytest.raises(OutOfReachError):
            store.guard()  # which is not to say that it is lost
        loses.lose = False
        store.guard()
        time.sleep(0.2)
        store.guard()
        assert json.loads(store.folder.read(LOCK))["run"] == "mine"
    assert "released" in json.loads(store.folder.read(LOCK))


def test_a_lease_that_ran_out_is_asked_for_before_anything_is_written(store: Store) -> None:
    for taken in (False, True):
        with writing(store, "mine", times=LeaseTimes(lease_s=0.1, renew_s=600)):
            time.sleep(0.2)  # as if stopped, and the moment after
            if taken:
                theirs = replace(Holder(**json.loads(store.folder.read(LOCK))), token="theirs")
                store.folder.write(LOCK, lock._written(theirs))
                with pytest.raises(CoreframeError, match="another may write to the store by now"):
                    store.guard()
            else:
                store.guard()


def test_nothing_is_written_twice_to_a_lease(store: Store) -> None:
    """A write that a network delayed by minutes must not meet the version it asks for again."""
    seen = []
    for _ in range(3):
        with writing(store, "mine"):
            seen.append(store.folder.read(LOCK))
        seen.append(store.folder.read(LOCK))
    assert len(set(seen)) == len(seen)
