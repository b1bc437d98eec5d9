"""What every Prefect task of ours has in common."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from coreframe.tasks.errors import CoreframeError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _worth_retrying(_task: object, _run: object, state: Any) -> bool:
    """A fault of the moment (network, a lost cluster) is; one that we explain is not."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, CoreframeError | UsageError)


def stage(name: str) -> Callable[[F], F]:
    """A Prefect task for one stage of a run, in the flow's own process.

    Nothing is cached by Prefect: the store is the cache, and every stage picks up where the
    store says it was left.
    """
    return task(  # type: ignore[return-value]
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=1,
        retry_delay_seconds=5,
        retry_condition_fn=_worth_retrying,
    )
