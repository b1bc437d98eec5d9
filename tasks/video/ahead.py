"""Decoding ahead of whoever takes the frames, in a thread of its own."""

import threading
from collections.abc import Iterator
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

HANDED_OVER = 16
"""Items that a thread hands to another together: to wake it for each costs both."""


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """Run an iterator in a thread of its own, at most ``depth`` items ahead of its consumer.

    Decoding releases the interpreter lock, so it overlaps with embedding. An exception in the
    iterator is raised here, after the items before it; leaving early stops the thread and closes
    the iterator.
    """
    together = max(1, min(HANDED_OVER, depth // 3))
    waiting = max(1, depth // together - 2)  # without those being gathered and those handed over
    queue: Queue[tuple[list[T], BaseException | None, bool]] = Queue(waiting)
    stopped = threading.Event()

    def put(some: list[T], error: BaseException | None = None, *, last: bool = False) -> bool:
        while not stopped.is_set():
            try:
                queue.put((some, error, last), timeout=0.1)
                return True
            except Full:
                continue
        return False

    def fill() -> None:
        some: list[T] = []
        try:
            for item in items:
                some.append(item)
                if len(some) == together:
                    if not put(some):
                        break
                    some = []
            put(some, last=True)
        except BaseException as error:  # handed to the consumer, whatever it is
            put(some, error, last=True)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=fill, name="coreframe-decode", daemon=True)
    thread.start()
    try:
        last = False
        while not last:
            some, error, last = queue.get()
            yield from some
            if error is not None:
                raise error
    finally:
        stopped.set()
        thread.join()
