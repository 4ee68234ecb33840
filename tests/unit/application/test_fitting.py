import random
from collections.abc import Callable

import pytest

from semalink.application.fitting import (
    FEWEST,
    STALLED_SECONDS,
    TRIAL_SECONDS,
    FittingWindow,
)

MOST = 256


class Workers:
    """Work off what the window lets in, at a rate that depends on how many there are."""

    def __init__(self, rate_of: Callable[[int], float]) -> None:
        self.seconds = 0.0
        self.window = FittingWindow(MOST, now=lambda: self.seconds)
        self._rate_of = rate_of

    def work(self, seconds: int) -> list[int]:
        """Return the sizes of the window, ten a second."""
        sizes: list[int] = []
        for _ in range(seconds * 10):
            self.seconds += 0.1
            self.window.left(int(self._rate_of(self.window.size) / 10))
            sizes.append(self.window.size)
        return sizes


def test_window_stays_small_when_the_machine_is_the_limit() -> None:
    workers = Workers(lambda _: 300.0)

    sizes = workers.work(60)

    assert set(sizes) == {FEWEST, FEWEST * 4 // 3}


def test_window_grows_when_aggregators_take_their_time() -> None:
    workers = Workers(lambda size: size / 0.3)

    sizes = workers.work(60)

    assert max(sizes[-100:]) == MOST
    assert min(sizes[-100:]) > MOST // 2


def test_window_stays_small_when_rates_vary_by_themselves() -> None:
    dice = random.Random(7)
    workers = Workers(lambda _: 300.0 * dice.lognormvariate(0, 0.5))

    sizes = workers.work(600)

    assert sum(sizes) / len(sizes) < FEWEST * 1.5


def test_window_shrinks_again_when_aggregators_become_quick() -> None:
    delay_seconds = 0.3
    workers = Workers(lambda size: min(900.0, size / delay_seconds))
    grown = max(workers.work(60))
    delay_seconds = 0.01

    sizes = workers.work(60)

    assert grown > MOST // 2
    assert sizes[-1] <= FEWEST * 4 // 3


@pytest.mark.parametrize("most", [1, 5, FEWEST])
def test_window_is_never_larger_than_allowed(most: int) -> None:
    seconds = 0.0
    window = FittingWindow(most, now=lambda: seconds)

    for _ in range(100):
        seconds += TRIAL_SECONDS
        window.left(most)

    assert window.size == window.most == most


def test_window_draws_no_conclusion_from_a_queue_that_stands_still() -> None:
    seconds = 0.0
    window = FittingWindow(MOST, now=lambda: seconds)
    window.left(FEWEST)
    for _ in range(3):
        seconds += STALLED_SECONDS
        window.left(0)

    window.left(FEWEST)
    seconds += TRIAL_SECONDS
    window.left(FEWEST)

    assert window.size == FEWEST * 4 // 3


def test_window_begins_a_trial_anew_when_nobody_waited() -> None:
    seconds = 0.0
    window = FittingWindow(MOST, now=lambda: seconds)
    window.left(FEWEST)
    seconds += TRIAL_SECONDS
    window.begin_anew()

    window.left(FEWEST)
    window.left(FEWEST)

    assert window.size == FEWEST
