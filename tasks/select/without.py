"""Choices that lack one wish of another, to see what it cost."""

from collections.abc import Mapping
from dataclasses import replace

from coreframe.tasks.select.choice import Choice


def without_each(choice: Choice) -> dict[str, Choice]:
    """For each wish, as the command has it, the same choice without it and without a name.

    What was chosen before is no wish: it stays where these choices are tried.
    """
    alone = replace(
        choice,
        name=None,
        drop_gone=False,
        preselected=None,
        count_preselected=False,
        neighbours=None,  # how typical frames are is known by now
    )
    found: dict[str, Choice] = {}
    if choice.skip_outliers:
        skipped = f"skip-outliers {choice.skip_outliers:g}"
        found[skipped] = replace(alone, skip_outliers=0.0)
    if choice.where is not None:
        found[f"where {choice.where}"] = replace(alone, where=None)
    for name, least in choice.minimum.items():
        found[f"min {name}={least:g}"] = replace(alone, minimum=_others(choice.minimum, name))
    for name, most in choice.maximum.items():
        found[f"max {name}={most:g}"] = replace(alone, maximum=_others(choice.maximum, name))
    if choice.by_query:
        queries = [f"like {one}" for one in choice.like] + [
            f"unlike {one}" for one in choice.unlike
        ]
        found[", ".join(queries)] = alone.without_queries()
    for name, strength in choice.prefer.items():
        found[f"prefer {name}:{strength:g}"] = replace(alone, prefer=_others(choice.prefer, name))
    if choice.prefer_sharp:
        found[f"prefer-sharp {choice.prefer_sharp:g}"] = replace(alone, prefer_sharp=0.0)
    if choice.balance:
        names = ", ".join(balance.column for balance in choice.balance)
        found[f"balance {names}"] = replace(alone, balance=())
    if choice.min_per_video:
        found[f"min-per-video {choice.min_per_video}"] = replace(alone, min_per_video=0)
    if choice.max_per_video is not None:
        found[f"max-per-video {choice.max_per_video}"] = replace(alone, max_per_video=None)
    return found


def _others(wishes: Mapping[str, float], name: str) -> dict[str, float]:
    """All but one."""
    return {one: value for one, value in wishes.items() if one != name}
