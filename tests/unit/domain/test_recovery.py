from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.errors import RecoveryEnded
from semalink.domain.recovery import Counts, Recovery, RecoveryMode, RecoveryState, Wanted

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
WANTED = Wanted(
    UUID(int=3), RecoveryMode.FAILED, AT - timedelta(hours=2), AT, ("message.*",), rate_per_second=5
)


def started() -> Recovery:
    recovery = Recovery.start(UUID(int=1), UUID(int=2), WANTED, CAUSE)
    recovery.collect_events()
    return recovery


def names(recovery: Recovery) -> list[str]:
    return [type(event).__name__ for event in recovery.collect_events()]


def test_start_records_what_is_wanted() -> None:
    recovery = Recovery.start(UUID(int=1), UUID(int=2), WANTED, CAUSE)

    [created] = recovery.collect_events()
    again = created.mutate(None)
    assert isinstance(again, Recovery)
    assert (again.account_id, again.wanted) == (UUID(int=2), WANTED)
    assert again.state is RecoveryState.RUNNING


def test_start_is_a_bug_for_no_time_at_all() -> None:
    none = Wanted(UUID(int=3), RecoveryMode.FAILED, AT, AT, ("*",), rate_per_second=5)

    with pytest.raises(AssertionError, match="a time that is none"):
        Recovery.start(UUID(int=1), UUID(int=2), none, CAUSE)


def test_pause_and_resume_change_the_state_once() -> None:
    recovery = started()

    recovery.resume(CAUSE)
    recovery.pause(CAUSE)
    recovery.pause(CAUSE)
    paused = recovery.state
    recovery.resume(CAUSE)

    assert names(recovery) == ["Paused", "Resumed"]
    assert paused is RecoveryState.PAUSED
    assert recovery.state is RecoveryState.RUNNING


def test_cancel_ends_it_and_twice_is_once() -> None:
    recovery = started()

    recovery.cancel(CAUSE)
    recovery.cancel(CAUSE)

    assert names(recovery) == ["Cancelled"]
    assert recovery.has_ended


def test_complete_ends_it_with_its_counts() -> None:
    recovery = started()

    recovery.complete(Counts(matched=4, sent=3, delivered=2, failed=1, skipped=1), CAUSE)

    [completed] = recovery.collect_events()
    assert isinstance(completed, Recovery.Completed)
    assert (completed.matched_count, completed.delivered_count) == (4, 2)
    assert (completed.failed_count, completed.skipped_count) == (1, 1)
    assert recovery.state is RecoveryState.COMPLETED


@pytest.mark.parametrize("step", ["pause", "resume", "cancel"])
def test_recovery_that_completed_changes_no_more(step: str) -> None:
    recovery = started()
    recovery.complete(Counts(), CAUSE)
    recovery.collect_events()

    with pytest.raises(RecoveryEnded, match="is completed"):
        getattr(recovery, step)(CAUSE)

    assert recovery.collect_events() == []


def test_complete_is_a_bug_when_it_has_ended() -> None:
    recovery = started()
    recovery.cancel(CAUSE)

    with pytest.raises(AssertionError, match="ends once"):
        recovery.complete(Counts(), CAUSE)


@pytest.mark.parametrize(
    ("counts", "is_done"),
    [
        (Counts(), True),
        (Counts(matched=2, sent=2, delivered=1), False),
        (Counts(matched=3, sent=2, delivered=1, failed=1, skipped=1), True),
    ],
)
def test_counts_are_done_when_every_event_came_to_an_end(
    counts: Counts,
    is_done: object,
) -> None:
    assert counts.is_done is is_done
