"""Asking a bucket again, ever less often and not for ever, for what may come right by itself."""

import logging
import random
import re
import threading
import time
from dataclasses import dataclass

logger = logging.getLogger("coreframe")

MAY_COME_RIGHT = {408, 409, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which the same request may be answered: others are answers."""

SLOW_REQUESTS = ("RequestTimeout", "IncompleteBody", "RequestTimeTooSkewed")
"""What S3 says with the status 400 of requests that came too slowly or in part."""

TOLD_AFTER_S = 10.0
"""An outage that lasts so long is told in the log, once."""

QUIET_S = 60.0
"""Failures that lie further apart belong to different outages."""


@dataclass(frozen=True)
class Waits:
    """How long is waited for a bucket, in seconds."""

    total_s: float = 300.0
    """Nothing is asked for again so long after it was first asked for, or after the bucket last
    answered anything."""
    first_s: float = 0.1
    longest_s: float = 20.0


WAITS = Waits()


class Outage:
    """Since when a bucket answers nothing at all, whatever it is asked for by this process.

    Without it each of ten thousand videos would be asked for during five minutes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = self._last = -float("inf")
        self._told = False

    def over(self) -> None:
        """The bucket has answered."""
        if self._since > 0:
            with self._lock:
                self._since, self._told = -float("inf"), False

    def seconds(self) -> float:
        """The bucket has failed to answer: for how long, at least."""
        now = time.monotonic()
        with self._lock:
            if self._since < 0 or now - self._last > QUIET_S:
                self._since, self._told = now, False
            self._last = now
            return now - self._since

    def tell(self, place: str, why: str, waits: Waits) -> None:
        """Say once, in the log, that the bucket is waited for."""
        with self._lock:
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "%s does not answer (%s); it is asked again for up to %g minutes",
                place,
                why,
                waits.total_s / 60,
            )


class Tries:
    """The tries of one request."""

    def __init__(self, outage: Outage, waits: Waits | None = None) -> None:
        self.made = 0
        self._outage, self._waits = outage, waits or WAITS
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the first."""
        return time.monotonic() - self._began

    def another(self, place: str, why: str) -> bool:
        """Wait after a failed try, and say whether there is to be another.

        Args:
            place: what was asked for.
            why: it failed.
        """
        self.made += 1
        longest = min(self._waits.longest_s, self._waits.first_s * 2 ** min(self.made - 1, 30))
        wait_s = longest * random.uniform(0.5, 1)  # or all workers come back in one moment
        silent_s = max(self.seconds, self._outage.seconds())
        if silent_s + wait_s > self._waits.total_s:
            return False
        if silent_s > TOLD_AFTER_S:
            self._outage.tell(place, why, self._waits)
        time.sleep(wait_s)
        return True


def may_come_right(said: str) -> bool:
    """Whether a request that failed may do better later, by what the client says of it.

    Connections that break and answers that are cut or never come have no status.
    """
    status = re.search(r"status code: (\d{3})", said)
    if status is None:
        return "redirect" not in said and "builder error" not in said
    slow = status[1] == "400" and any(f"<Code>{word}</Code>" in said for word in SLOW_REQUESTS)
    return int(status[1]) in MAY_COME_RIGHT or slow
