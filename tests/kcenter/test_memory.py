"""How much memory vectors may take."""

from pathlib import Path

import psutil
import pytest

from coreframe.tasks.kcenter import memory


def test_vectors_may_fill_half_of_a_limit_less_what_is_taken() -> None:
    assert memory.vectors_bytes(2_000, 300) == 700
    assert memory.vectors_bytes(2_000, 1_500) == 0
    taken = psutil.Process().memory_info().rss
    assert memory.own_vectors_bytes(1) == 0
    assert abs(memory.own_vectors_bytes(8 * taken) - 3 * taken) < taken


@pytest.mark.parametrize(("content", "limited"), [("1000000\n", True), ("max\n", False)])
def test_a_container_has_no_more_than_it_may_take(
    content: str, limited: bool, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text(content)
    files = (str(tmp_path / "memory.max"), str(tmp_path / "nowhere"))
    all_there_is = psutil.virtual_memory().total
    assert memory.machine_bytes(files) == (1_000_000 if limited else all_there_is)
