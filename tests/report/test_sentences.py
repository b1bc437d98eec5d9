"""What pages say in words of what a run counted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coreframe.tasks.output.run import Counts
from coreframe.tasks.report.sentences import input_facts, radius_text
from tests.output.made import make_metrics, make_run
from tests.stores import make_store

LEFT_OUT = (
    "undecodable_frames",
    "suspect_frames",
    "flat_frames",
    "outlier_frames",
    "exact_duplicates",
    "rejected_frames",
    "less_like_frames",
    "frames_in_no_sequence",
    "frames_without_objects",
)


@pytest.fixture
def counts_of(tmp_path: Path) -> Callable[..., Counts]:
    store = make_store(tmp_path / "store", np.eye(8, dtype=np.int16) * 4000, [8])
    return lambda **counts: make_run(store, counts).counts


def test_whatever_is_left_out_is_told_once(counts_of: Callable[..., Counts]) -> None:
    numbers = {name: 100 + place for place, name in enumerate(sorted(LEFT_OUT))}
    facts = input_facts(counts_of(**numbers))
    assert len(facts) == len(LEFT_OUT) + 1
    for number in numbers.values():
        assert sum(str(number) in fact for fact in facts) == 1


@pytest.mark.parametrize("left_out", ["rejected_frames", "less_like_frames"])
def test_the_curve_of_a_part_is_not_taken_for_that_of_the_corpus(
    left_out: str, counts_of: Callable[..., Counts]
) -> None:
    metrics, words = make_metrics([0, 3]), "the marks are of the whole corpus"
    assert words in radius_text(metrics, counts_of(**{left_out: 5}))
    assert words not in radius_text(metrics, counts_of())
