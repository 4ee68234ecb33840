from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.dead_letter import DeadLetter, DeadLetterState
from semalink.domain.dead_letter_job import DeadLetterJob, JobState
from semalink.domain.errors import DeadLetterJobEnded, DeadLetterSettled

ID = UUID(int=1)
CAUSE = Cause("operator:key_1", datetime(2026, 11, 25, tzinfo=UTC), "req_1")


@pytest.fixture
def letter() -> DeadLetter:
    return DeadLetter.bury(
        ID,
        CAUSE,
        queue="sms.normal",
        error_type="ValueError",
        error="",
        delivery_count=5,
        buried_as="dlq:SMS_NORMAL:1:2:0",
        about=None,
    )


@pytest.fixture
def job() -> DeadLetterJob:
    return DeadLetterJob.start(
        ID,
        CAUSE,
        action="republish",
        queue=None,
        error_type=None,
        older_than_seconds=None,
        newer_than_seconds=None,
        rate_per_second=1,
        reason=None,
    )


def republish(letter: DeadLetter, *, again: bool = False) -> None:
    letter.republish(CAUSE, payload=None, about=None, again=again, job_id=None)


def last_event(aggregate: Any) -> Any:
    return aggregate.pending_events[-1]


def test_bury_makes_a_letter_that_waits(letter: DeadLetter) -> None:
    assert letter.state is DeadLetterState.WAITING
    assert last_event(letter).actor == "operator:key_1"


def test_republish_gives_another_id_each_time(letter: DeadLetter) -> None:
    republish(letter)
    first = last_event(letter).new_message_id
    republish(letter, again=True)

    assert first == f"redrive:dlq_{ID.hex}:1"
    assert last_event(letter).new_message_id == f"redrive:dlq_{ID.hex}:2"
    assert letter.state is DeadLetterState.REPUBLISHED


def test_republish_refuses_a_second_time_that_was_not_asked_for(letter: DeadLetter) -> None:
    republish(letter)

    with pytest.raises(DeadLetterSettled, match="was republished before"):
        republish(letter)


@pytest.mark.parametrize("again", [False, True])
def test_republish_refuses_what_was_discarded(letter: DeadLetter, *, again: bool) -> None:
    letter.discard("a test", CAUSE, job_id=None)

    with pytest.raises(DeadLetterSettled, match="was discarded before"):
        republish(letter, again=again)


def test_discard_records_why(letter: DeadLetter) -> None:
    letter.discard("a test", CAUSE, job_id=None)

    assert last_event(letter).reason == "a test"
    with pytest.raises(DeadLetterSettled):
        letter.discard("again", CAUSE, job_id=None)


def test_finish_closes_a_job_that_runs(job: DeadLetterJob) -> None:
    job.finish(CAUSE)

    assert job.state is JobState.FINISHED
    with pytest.raises(DeadLetterJobEnded, match="is finished"):
        job.cancel(CAUSE)


def test_finish_leaves_a_job_that_was_cancelled(job: DeadLetterJob) -> None:
    job.cancel(CAUSE)
    job.finish(CAUSE)

    assert job.state is JobState.CANCELLED
