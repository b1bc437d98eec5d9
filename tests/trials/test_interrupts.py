"""What `tests/flows/test_interrupts.py` does, with 60 seeds."""

import pytest

from tests.flows.interrupts import Trials

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory, server: str) -> Trials:
    return Trials(tmp_path_factory.mktemp("interrupts"), server)


@pytest.mark.parametrize("seed", range(60))
def test_an_interrupted_command_ends_at_once_and_goes_on_the_next_time(
    seed: int, trials: Trials
) -> None:
    trials.try_seed(seed)
