"""Running block-sized jobs on a Dask cluster, a bounded number at a time."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from dask.distributed import Client, Future, KilledWorker, as_completed

from coreframe.tasks.errors import CoreframeError

Job = TypeVar("Job")
Result = TypeVar("Result")

logger = logging.getLogger("coreframe")

JOBS_PER_WORKER = 3
"""One running, two waiting: enough that no worker idles, few enough to cost the driver nothing."""


def workers(client: Client) -> int:
    """Threads that the cluster has now; at least 1, for clusters that grow when work comes."""
    return max(1, sum(client.nthreads().values()))


def run_jobs(
    client: Client,
    function: Callable[..., Result],
    jobs: Iterable[Job],
    describe: Callable[[Job], str],
    needs: Callable[[Job], list[Future]] | None = None,
    killed: Callable[[Job, KilledWorker], Result] | None = None,
) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as results come, keeping a window of jobs in flight.

    Dask runs a job again when its worker dies. Results are released as they are consumed.

    Args:
        client: of the cluster.
        function: takes a job, and what it needs, if that is given.
        jobs: what to run.
        describe: names a job to people.
        needs: submits what a job needs, asked when the job is.
        killed: gives a job's result in another way, when it killed its workers again and again.

    Raises:
        CoreframeError: a job did, and there is no such way; ``describe`` names it.
    """
    pending = iter(jobs)
    window = JOBS_PER_WORKER * workers(client)
    running = as_completed(with_results=False)
    job_of = {}

    def submit() -> None:
        job = next(pending, None)
        if job is not None:
            arguments = () if needs is None else (needs(job),)
            future = client.submit(function, job, *arguments, pure=False)
            job_of[future] = job, time.monotonic()
            running.add(future)

    for _ in range(window):
        submit()
    try:
        for future in running:
            job, began_s = job_of.pop(future)
            try:
                result = future.result()
            except KilledWorker as error:
                if killed is None:
                    raise explained(describe(job), error) from error
                result = killed(job, error)
            seconds = time.monotonic() - began_s
            logger.debug("%s: done %.1f s after it was given out", describe(job), seconds)
            future.release()
            submit()
            yield job, result
    finally:
        for future in job_of:
            future.cancel()


def gather(client: Client, futures: list[Future], what: str) -> list[Any]:
    """Wait for a few results that fit into memory.

    Raises:
        CoreframeError: one of them killed its workers again and again.
    """
    try:
        return client.gather(futures)
    except KilledWorker as error:
        raise explained(what, error) from error


def deaths(error: KilledWorker) -> int:
    """How many workers a job has cost."""
    return int(error.allowed_failures) + 1


def deadly(error: KilledWorker, did: str) -> str:
    """Say of a video that it killed the workers that did something with it."""
    return f"it killed {deaths(error)} workers that {did} (a crash in a decoder, or out of memory)"


def explained(what: str, error: KilledWorker) -> CoreframeError:
    """Say it to people."""
    return CoreframeError(
        f"{what} killed {deaths(error)} workers (out of memory, or a crash in a "
        "decoder). Give workers more memory, or exclude the file."
    )
