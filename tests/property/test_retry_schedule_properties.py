"""The waits between the attempts of a webhook, whatever the customer's server answers."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.retry_schedule import (
    WEBHOOK_RETRIES_MAX,
    WEBHOOK_WINDOW,
    WaitsBefore,
    next_webhook_wait,
)

JITTERS = st.floats(0, 1)
ANSWERS = st.tuples(
    JITTERS,
    st.none() | st.integers(0, 10**12),
    st.none() | st.sampled_from([301, 404, 429, 500, 503]),
    st.booleans(),
)
ANSWERING_LONGEST = timedelta(seconds=15)


def waits_of(answers: list[tuple[float, int | None, int | None, bool]]) -> list[timedelta]:
    waits: list[timedelta] = []
    before = WaitsBefore()
    for jitter, retry_after, status, timed_out in answers:
        wait = next_webhook_wait(
            before,
            jitter=jitter,
            retry_after_seconds=retry_after,
            status=status,
            timed_out=timed_out,
        )
        if wait is None:
            break
        waits.append(wait)
        before = before.and_another(wait)
    return waits


@given(st.lists(ANSWERS, min_size=10, max_size=10))
def test_webhook_waits_are_five_at_most_and_end_within_a_day(answers: list[Any]):
    waits = waits_of(answers)

    spent = sum(waits, timedelta()) + (len(waits) + 1) * ANSWERING_LONGEST
    assert len(waits) <= WEBHOOK_RETRIES_MAX
    assert spent <= WEBHOOK_WINDOW
    assert all(wait > timedelta() for wait in waits)


@given(st.lists(ANSWERS, min_size=10, max_size=10))
def test_webhook_waits_never_shrink_but_where_the_window_ends(answers: list[Any]):
    waits = waits_of(answers)

    uncut = waits[:-1] if sum(waits, timedelta()) > timedelta(hours=23, minutes=57) else waits
    assert uncut == sorted(uncut)


@given(st.lists(JITTERS, min_size=5, max_size=5))
def test_webhook_waits_are_all_five_when_nothing_is_asked_for(jitters: list[float]):
    waits = waits_of([(jitter, None, 500, False) for jitter in jitters])

    assert len(waits) == WEBHOOK_RETRIES_MAX
    assert sum(waits, timedelta()) >= timedelta(hours=20)


@given(JITTERS, st.integers(0, 80_000))
def test_webhook_wait_is_as_long_as_the_server_asks(jitter: float, asked_seconds: int):
    wait = next_webhook_wait(WaitsBefore(), jitter=jitter, retry_after_seconds=asked_seconds)

    assert wait is not None
    assert wait >= timedelta(seconds=asked_seconds)


@pytest.mark.parametrize(("status", "timed_out"), [(429, False), (None, True)])
def test_webhook_wait_is_a_minute_when_the_server_is_busy_or_slow(
    *, status: int | None, timed_out: bool
):
    wait = next_webhook_wait(WaitsBefore(), jitter=1, status=status, timed_out=timed_out)

    assert wait == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("count", "minutes"), [(0, 55 / 60), (1, 5.5), (2, 33), (3, 198), (4, 1_188)]
)
def test_webhook_wait_grows_sixfold(count: int, minutes: float):
    wait = next_webhook_wait(WaitsBefore(count), jitter=0)

    assert wait == timedelta(minutes=minutes)
