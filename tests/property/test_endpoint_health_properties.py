"""An endpoint's breaker and its end, after any run of attempts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.endpoint_health import (
    DISABLE_AFTER,
    OPEN_FIRST,
    OPEN_LONGEST,
    SHUT,
    WINDOW,
    Breaker,
    Record,
    Window,
    due_warning,
    judge_breaker,
    must_disable,
    note_attempt,
)

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=80)


class Endpoint:
    """An endpoint that is judged after every attempt."""

    def __init__(self) -> None:
        self.now = START
        self.record = Record()
        self.window = Window()
        self.window.observe(self.record, START)
        self.breaker = SHUT
        self.attempts: list[tuple[datetime, bool]] = []

    def attempt(self, *, succeeded: bool, after_seconds: float = 1) -> None:
        self.now += timedelta(seconds=after_seconds)
        self.attempts.append((self.now, succeeded))
        self.record = note_attempt(self.record, succeeded=succeeded, at=self.now)
        self.judge()

    def judge(self) -> None:
        self.window.observe(self.record, self.now)
        before = self.breaker
        self.breaker = judge_breaker(before, self.record, self.window, self.now)
        if before != SHUT and self.breaker == SHUT:
            self.window.restart()


@given(STEPS)
def test_judge_opens_after_five_failures_in_a_row(steps: list[tuple[bool, int]]):
    endpoint = Endpoint()
    for succeeded, seconds in steps:
        endpoint.attempt(succeeded=succeeded, after_seconds=seconds)

    last = [succeeded for _, succeeded in endpoint.attempts[-5:]]
    if len(last) == 5 and not any(last):
        assert not endpoint.breaker.admits_all()


@given(STEPS)
def test_judge_shuts_at_any_success(steps: list[tuple[bool, int]]):
    endpoint = Endpoint()
    for succeeded, seconds in steps:
        was_open = not endpoint.breaker.admits_all()
        endpoint.attempt(succeeded=succeeded, after_seconds=seconds)
        assert not (was_open and succeeded) or endpoint.breaker == SHUT


@given(STEPS)
def test_judge_leaves_alone_for_half_a_minute_to_a_quarter_of_an_hour(
    steps: list[tuple[bool, int]],
):
    endpoint = Endpoint()
    for succeeded, seconds in steps:
        endpoint.attempt(succeeded=succeeded, after_seconds=seconds)
        breaker = endpoint.breaker
        if breaker.opened_at is not None and breaker.open_until is not None:
            assert OPEN_FIRST <= breaker.open_until - breaker.opened_at <= OPEN_LONGEST
            assert not breaker.admits_probe(breaker.opened_at)
            assert breaker.admits_probe(breaker.open_until)


@given(STEPS)
def test_window_counts_what_happened_within_five_minutes(steps: list[tuple[bool, int]]):
    record, window, now = Record(), Window(), START
    window.observe(record, now)
    attempts: list[tuple[datetime, bool]] = []
    for succeeded, seconds in steps:
        now += timedelta(seconds=seconds)
        attempts.append((now, succeeded))
        record = note_attempt(record, succeeded=succeeded, at=now)
        window.observe(record, now)

    recent = [succeeded for at, succeeded in attempts if at > now - WINDOW]
    assert window.counts == (len(recent), recent.count(False))


def test_window_counts_each_attempt_once_however_often_it_looks():
    window = Window()
    record = note_attempt(Record(), succeeded=True, at=START)

    window.observe(Record(), START)
    window.observe(record, START)
    window.observe(record, START + timedelta(seconds=1))

    assert window.counts == (1, 0)


def test_window_counts_anew_where_the_totals_began_anew():
    window = Window()

    window.observe(Record(successes=3, failures=4), START)
    window.observe(Record(), START + timedelta(seconds=1))
    window.observe(Record(failures=1), START + timedelta(seconds=2))

    assert window.counts == (1, 1)


def test_window_counts_nothing_before_it_saw_anything():
    window = Window()

    assert window.counts == (0, 0)


def test_judge_opens_when_half_of_twenty_attempts_failed():
    endpoint = Endpoint()

    for turn in range(19):
        endpoint.attempt(succeeded=turn % 2 == 0)
    assert endpoint.breaker == SHUT
    endpoint.attempt(succeeded=False)

    assert not endpoint.breaker.admits_all()


def test_judge_judges_anew_after_it_shut():
    endpoint = Endpoint()
    for turn in range(20):
        endpoint.attempt(succeeded=turn % 2 == 0)

    endpoint.attempt(succeeded=True)
    endpoint.attempt(succeeded=False)

    assert endpoint.breaker == SHUT


def test_judge_doubles_the_time_after_each_probe_that_failed():
    endpoint = Endpoint()
    for _ in range(5):
        endpoint.attempt(succeeded=False)
    waits = []

    for _ in range(7):
        assert endpoint.breaker.opened_at is not None
        assert endpoint.breaker.open_until is not None
        waits.append((endpoint.breaker.open_until - endpoint.breaker.opened_at).total_seconds())
        endpoint.attempt(succeeded=False, after_seconds=waits[-1] + 1)

    assert waits == [30, 60, 120, 240, 480, 900, 900]


def test_judge_is_not_moved_by_what_was_under_way_when_it_opened():
    opened = Breaker(1, START, START + OPEN_FIRST)
    late = Record(failures=6, consecutive_failures=6, failing_since=START, last_failure_at=START)

    judged = judge_breaker(opened, late, Window(), START + timedelta(seconds=10))

    assert judged == opened


@given(st.lists(st.integers(1, 86_400), min_size=1, max_size=60))
def test_must_disable_needs_five_days_and_twenty_failures(gaps: list[int]):
    record, now = Record(), START
    for gap in gaps:
        now += timedelta(seconds=gap)
        record = note_attempt(record, succeeded=False, at=now)

    first = START + timedelta(seconds=gaps[0])
    assert must_disable(record, now) == (now - first >= DISABLE_AFTER and len(gaps) >= 20)


def test_must_disable_needs_failures_that_lie_apart():
    record = Record()
    for minute in range(30):
        record = note_attempt(record, succeeded=False, at=START + timedelta(minutes=minute))

    assert not must_disable(record, START + timedelta(days=6))
    assert due_warning(record, 0, START + timedelta(days=6)) is None


def test_must_disable_counts_no_silence():
    record = Record()
    for hour in range(119):
        record = note_attempt(record, succeeded=False, at=START + timedelta(hours=hour))

    assert not must_disable(record, START + timedelta(hours=140))
    assert not must_disable(record, START + timedelta(days=20))


def test_must_disable_needs_a_failure_of_today():
    record = Record()
    for hour in range(130):
        record = note_attempt(record, succeeded=False, at=START + timedelta(hours=hour))

    assert must_disable(record, START + timedelta(hours=130))
    assert not must_disable(record, START + timedelta(days=20))
    assert due_warning(record, 0, START + timedelta(days=20)) is None


def test_must_disable_starts_anew_at_a_success():
    record = Record()
    for hour in range(200):
        record = note_attempt(record, succeeded=hour == 190, at=START + timedelta(hours=hour))

    assert not must_disable(record, START + timedelta(hours=200))
    assert not must_disable(Record(), START)


def test_due_warning_tells_each_share_once():
    record, told = Record(), [0]
    for hour in range(110):
        now = START + timedelta(hours=hour)
        record = note_attempt(record, succeeded=False, at=now)
        share = due_warning(record, told[-1], now)
        told += [share] if share else []

    assert told == [0, 25, 50, 75]
    assert due_warning(Record(), 0, START) is None
