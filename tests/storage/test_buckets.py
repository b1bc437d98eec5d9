"""Folders and files in a bucket whose server loses answers, cuts them and refuses requests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from coreframe.tasks.errors import OutOfReachError
from coreframe.tasks.storage import buckets, patience
from coreframe.tasks.storage.buckets import in_bucket
from coreframe.tasks.storage.files import listed, open_file
from coreframe.tasks.storage.folders import Folder, open_folder
from coreframe.tasks.storage.patience import Waits, may_come_right
from coreframe.tasks.video.indexing import index_video
from tests.flaky_proxy import Faults, flaky
from tests.videos import RECIPES, Recipe, make

pytestmark = pytest.mark.integration  # a server, and a proxy before it

QUICK = Waits(total_s=20, first_s=0.001, longest_s=0.05)

RECIPES_READ = [recipe for recipe in RECIPES if recipe.file in ("vp9.webm", "transport.ts")]


class Scripted(Faults):
    """The fates of writes, in turn; all else goes well."""

    def __init__(self, *fates: str, worked: Callable[[], None] = lambda: None) -> None:
        super().__init__(seed=0)
        self._fates, self._worked = list(fates), worked

    def fate(self, method: str, path: str) -> str:
        self.asked[method, path] += 1
        return self._fates.pop(0) if method == "PUT" and self._fates else ""

    def worked(self, fate: str) -> None:
        if fate:
            self._worked()


@pytest.fixture
def behind(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """A context in which this process reaches the object store through a proxy with faults."""
    monkeypatch.setattr(patience, "WAITS", QUICK)
    soon = {"init_backoff": timedelta(milliseconds=1)}
    monkeypatch.setitem(buckets.RETRIES, "backoff", soon)

    @contextmanager
    def proxied(faults: Faults) -> Iterator[Faults]:
        with flaky(object_store, faults) as address, monkeypatch.context() as here:
            here.setenv("AWS_ENDPOINT_URL", address)
            yield faults

    return proxied


def test_operations_behind_a_flaky_server_come_to_the_same(bucket: str, behind: Callable) -> None:
    rng, held = Random(5), dict[str, bytes]()
    faults = Faults(seed=1, lost=0.1, cut=0.1, refused=0.2)
    with behind(faults):
        folder = open_folder(f"{bucket}/some/folder")
        for number in range(60):
            name = f"{rng.choice('ab')}/{rng.randrange(6)}"
            data = f"content {number}".encode() * rng.randint(1, 400)
            before = held.get(name)
            match rng.randrange(6):
                case 0:
                    folder.write(name, data)
                    held[name] = data
                case 1:
                    folder.delete(name)
                    held.pop(name, None)
                case 2:
                    assert folder.swap(name, before, data), number
                    held[name] = data
                case 3:
                    assert not folder.swap(name, b"another", data)
                case 4:
                    if before is None:
                        with pytest.raises(FileNotFoundError):
                            folder.read(name)
                    else:
                        assert folder.read(name) == before
                case 5:
                    inside = sorted(one[2:] for one in held if one.startswith(name[:2]))
                    assert folder.names(name[:1]) == inside
            assert folder.exists(name) == (name in held)
    for fate in ("lost", "500", "cut", "closed", "503"):
        assert faults.happened[fate] > 2, faults.happened
    direct = open_folder(f"{bucket}/some/folder")
    assert {name: direct.read(name) for name in held} == held


@pytest.mark.parametrize("fates", [("lost",), ("500",), ("lost", "closed", "500"), ("503", "lost")])
@pytest.mark.parametrize("before", [None, b"before"])
def test_a_conditional_write_knows_its_own(
    before: bytes | None, fates: tuple[str, ...], bucket: str, behind: Callable
) -> None:
    if before is not None:
        open_folder(bucket).write("x", before)
    with behind(Scripted(*fates)):
        folder = open_folder(bucket)
        assert folder.swap("x", before, b"mine")
        assert folder.swap("x", b"mine", b"mine, later")
        assert not folder.swap("x", b"mine", b"mine, later")  # nothing was asked for this time
    assert open_folder(bucket).read("x") == b"mine, later"


@pytest.mark.parametrize("before", [None, b"before"])
def test_a_conditional_write_that_was_replaced_has_not_happened(
    before: bytes | None, bucket: str, behind: Callable
) -> None:
    direct = open_folder(bucket)
    if before is not None:
        direct.write("x", before)

    def another() -> None:
        assert direct.swap("x", b"mine", b"another's")

    with behind(Scripted("lost", worked=another)):
        assert not open_folder(bucket).swap("x", before, b"mine")
    assert direct.read("x") == b"another's"


class CutOnce(Faults):
    """The first part of an object is cut, and meanwhile the object is replaced."""

    def __init__(self, replaced: Callable[[], None]) -> None:
        super().__init__(seed=0)
        self._replaced = replaced

    def fate(self, method: str, path: str) -> str:
        self.asked[method, path] += 1
        return "cut" if self.asked.total() == 1 else ""

    def worked(self, fate: str) -> None:
        if fate:
            self._replaced()


def test_what_is_replaced_while_it_is_read_is_read_again(bucket: str, behind: Callable) -> None:
    direct = open_folder(bucket)
    direct.write("x", b"before" * 10_000)
    with behind(CutOnce(lambda: direct.write("x", b"after" * 10_000))) as faults:
        assert open_folder(bucket).read("x") == b"after" * 10_000
    assert faults.asked.total() > 1


class InOrder(Faults):
    """Fates by how many requests came before: pages are asked for by tokens no seed knows."""

    def fate(self, method: str, path: str) -> str:
        return super().fate(method, "")


def test_a_listing_of_many_pages_goes_on_where_it_broke_off(
    bucket: str, behind: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "50")  # a server's page, usually of 1000
    names = sorted(f"{number % 4}/{number:03d} é%20?#.mp4" for number in range(220))
    for name in names:
        open_folder(f"{bucket}/videos").write(name, b"1")
    with behind(InOrder(seed=4, cut=0.3, refused=0.2)) as faults:
        found = [item.name for item in listed(f"{bucket}/videos")]
        assert [name.removeprefix(f"{bucket}/videos/") for name in found] == names
        assert open_folder(f"{bucket}/videos").names() == ["0", "1", "2", "3"]
        assert open_folder(f"{bucket}/videos").names("2") == [
            name[2:] for name in names if name.startswith("2/")
        ]
    assert faults.happened["cut"] > 3


def test_a_bucket_that_goes_on_failing_is_given_up_in_a_sentence(
    bucket: str, behind: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "WAITS", Waits(total_s=0.3, first_s=0.01, longest_s=0.05))
    monkeypatch.setitem(buckets.RETRIES, "max_retries", 0)
    open_folder(bucket).write("a/x", b"1")
    with behind(Faults(seed=1, refused=1.0)) as faults:
        folder: Folder = open_folder(f"{bucket}/a")
        for done, ask in {
            "read": lambda: folder.read("x"),
            "written": lambda: folder.write("x", b"2"),
            "looked at": lambda: folder.exists("x"),
            "listed": lambda: folder.names("x"),
        }.items():
            time.sleep(0.1)
            faults.asked.clear()
            with pytest.raises(OutOfReachError) as given_up:
                ask()
            said = str(given_up.value)
            assert said.startswith(f"{bucket}/a/x cannot be {done}: its bucket does not answer")
            assert "\n" not in said
            if done == "read":  # what follows is asked for once: the bucket is known to be away
                assert "times in 0 s" in said or "times in 1 s" in said
                assert faults.asked.total() > 3
            else:
                assert faults.asked.total() == 1
    assert open_folder(f"{bucket}/a").read("x") == b"1"


def test_what_is_refused_for_good_is_not_asked_for_again() -> None:
    for said, again in {
        "Server returned non-2xx status code: 503 Service Unavailable: ": True,
        "Server returned non-2xx status code: 429 Too Many Requests: ": True,
        "Server returned non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>": False,
        "Server returned non-2xx status code: 400 Bad Request: <Code>InvalidArgument</Code>": False,
        "Server returned non-2xx status code: 400 Bad Request: <Code>RequestTimeout</Code>": True,
        "Server returned non-2xx status code: 501 Not Implemented: ": False,
        "Received redirect without LOCATION, this normally indicates a wrong region": False,
        "HTTP error: request or response body error": True,
        "HTTP error: error sending request": True,
    }.items():
        assert may_come_right(said) == again, said


class Ends(Faults):
    """Some requests are answered, then none."""

    def __init__(self, answered: int) -> None:
        super().__init__(seed=0)
        self._answered = answered

    def fate(self, method: str, path: str) -> str:
        self.asked[method, path] += 1
        return "" if self.asked.total() <= self._answered else "closed"


@pytest.mark.parametrize("recipe", RECIPES_READ, ids=lambda recipe: recipe.file)
def test_a_video_behind_a_flaky_server_is_neither_short_nor_broken(
    recipe: Recipe, bucket: str, behind: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(recipe, tmp_path)
    open_folder(bucket).write(path.name, path.read_bytes())
    place = f"{bucket}/{path.name}"
    monkeypatch.setattr("coreframe.tasks.storage.files.LEAST_RANGE_BYTES", 2048)
    monkeypatch.setattr("coreframe.tasks.storage.files.MOST_RANGE_BYTES", 4096)
    facts, index = index_video(path)
    with behind(Faults(seed=2, lost=0.1, cut=0.1, refused=0.2)):
        with open_file(place) as file:
            assert file.read() == path.read_bytes()
        same_facts, same = index_video(place)
    assert same_facts == facts
    assert (same.pts == index.pts).all()

    with behind(Faults(seed=0)) as faultless:
        index_video(place)
    needed = faultless.asked.total()
    monkeypatch.setattr(patience, "WAITS", Waits(total_s=0.02, first_s=0.01))
    monkeypatch.setitem(buckets.RETRIES, "max_retries", 0)
    for answered in {1, 2, needed // 2, needed - 1}:
        with behind(Ends(answered)), pytest.raises(OutOfReachError, match=path.name):
            index_video(place)


def test_what_kept_a_file_from_being_read_is_raised_when_it_is_left(
    bucket: str, behind: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "WAITS", Waits(total_s=0.02, first_s=0.01))
    open_folder(bucket).write("x", b"1")

    def read_on() -> None:
        with open_file(f"{bucket}/x") as file:
            with suppress(OutOfReachError):
                file.read()
            assert file.read() == b""
            raise ValueError("what is read of it makes no sense")

    with behind(Ends(1)), pytest.raises(OutOfReachError):
        read_on()


def test_names_of_objects_are_taken_as_they_are(bucket: str) -> None:
    for name in ("a b/ü.mp4", "a%20b/x.mp4", "what?/x#1.mp4"):
        place = f"{bucket}/videos/{name}"
        store, last = in_bucket(place)
        store.put(last, name.encode())
        with open_file(place) as file:
            assert file.read() == name.encode()
        assert [item.name for item in listed(place)] == [place]
    found = [item.name.removeprefix(f"{bucket}/videos/") for item in listed(f"{bucket}/videos")]
    assert found == ["a b/ü.mp4", "a%20b/x.mp4", "what?/x#1.mp4"]
