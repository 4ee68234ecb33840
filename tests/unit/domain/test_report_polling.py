"""When an aggregator is asked for a report."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.domain.report_polling import can_be_asked, poll_at

SUBMITTED_AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
MESSAGE_ID = UUID(int=7_000)


@pytest.mark.parametrize(
    ("polls_before", "delay"),
    [
        (0, timedelta(minutes=2)),
        (1, timedelta(minutes=10)),
        (2, timedelta(hours=1)),
        (3, timedelta(hours=6)),
        (4, timedelta(hours=24)),
    ],
)
def test_questions_come_ever_more_seldom(polls_before: int, delay: timedelta) -> None:
    at = poll_at("celcom", MESSAGE_ID, SUBMITTED_AT, polls_before)

    assert at == SUBMITTED_AT + delay


@pytest.mark.parametrize("aggregator", ["celcom", "celcom-acme", "sandbox"])
def test_no_question_follows_the_fifth(aggregator: str) -> None:
    assert poll_at(aggregator, MESSAGE_ID, SUBMITTED_AT, 5) is None


@pytest.mark.parametrize(
    ("aggregator", "is_asked"), [("celcom-acme", True), ("africastalking", False)]
)
def test_nobody_is_asked_who_cannot_answer(aggregator: str, *, is_asked: bool) -> None:
    at = poll_at(aggregator, MESSAGE_ID, SUBMITTED_AT, 0)

    assert can_be_asked(aggregator) is is_asked
    assert (at is not None) is is_asked


@pytest.mark.parametrize("message_id", [UUID(int=1), UUID(int=500), UUID(int=999)])
def test_questions_are_spread_over_a_fifth_of_the_wait(message_id: UUID) -> None:
    at = poll_at("celcom", message_id, SUBMITTED_AT, 1)

    assert at is not None
    assert timedelta() < at - SUBMITTED_AT - timedelta(minutes=10) < timedelta(minutes=2)
