from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from semalink.application.submission import (
    Job,
    Next,
    Overdue,
    Policy,
    Ready,
    Settled,
    StartSubmission,
    TryAgain,
    Wait,
)
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane, Mode
from semalink.domain.errors import MessageNotFound
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]


def test_start_hands_the_message_to_the_first_route(
    accept: Accept, start: Do, clock: MemoryClock, entries: Names
) -> None:
    job = accept(lane=Lane.PRIORITY)

    step = start(job)

    assert isinstance(step, Ready)
    assert (step.aggregator, step.attempt, step.lane) == ("celcom", 1, "priority")
    assert step.accepted_at == clock.now()
    assert step.submission.message_id == job.message_id
    assert (step.submission.to, step.submission.sender) == ("+254712345678", "SEMA")
    assert step.submission.text == "Karibu"
    assert entries() == ["Reserved"]


def test_start_takes_the_preferred_route_first(accept: Accept, start: Do) -> None:
    step = start(accept(), preferred="africastalking")

    assert isinstance(step, Ready)
    assert step.aggregator == "africastalking"


def test_start_takes_the_sandbox_alone_in_test_mode(accept: Accept, start: Do) -> None:
    step = start(accept(mode=Mode.TEST), preferred="africastalking")

    assert isinstance(step, Ready)
    assert step.aggregator == "sandbox"


def test_start_answers_alike_when_its_answer_was_lost(
    accept: Accept, start: Do, steps: Names
) -> None:
    job = accept()
    first = start(job, request_id="job_1")

    second = start(job, request_id="job_1")

    assert second == first
    assert steps(job) == ["SubmitStarted"]


def test_start_waits_while_another_worker_may_be_in_the_call(
    accept: Accept, start: Do, clock: MemoryClock, steps: Names
) -> None:
    job = accept()
    start(job, request_id="job_1")
    lease_ends_at = clock.now() + Policy().lease
    clock.advance(seconds=24)

    step = start(job, request_id="job_2")

    assert step == Wait(lease_ends_at)
    assert steps(job) == ["SubmitStarted"]


def test_start_gives_the_outcome_up_when_the_worker_was_lost(
    accept: Accept, start: Do, clock: MemoryClock, see: See
) -> None:
    job = accept()
    start(job, request_id="job_1")
    clock.advance(seconds=25)

    step = start(job, request_id="job_2")

    assert step == Settled()
    assert see(job).outcome_unknown
    assert start(job, request_id="job_3") == Settled()


def test_start_tries_the_other_route_once_when_a_priority_worker_was_lost(
    accept: Accept, start: Do, clock: MemoryClock, see: See
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job, request_id="job_1")
    clock.advance(seconds=25)

    step = start(job, request_id="job_2")
    next_step = start(job, request_id="job_2")

    assert step == TryAgain()
    assert isinstance(next_step, Ready)
    assert (next_step.aggregator, next_step.attempt) == ("africastalking", 2)
    assert see(job).possible_duplicate


def test_start_settles_a_message_that_left(accept: Accept, start: Do, take: Do) -> None:
    job = accept()
    start(job)
    take(job)

    step = start(job)

    assert step == Settled()


def test_start_finds_a_message_overdue(
    accept: Accept, start: Do, clock: MemoryClock, steps: Names
) -> None:
    job = accept(expires_at=clock.now() + timedelta(seconds=30))
    clock.advance(seconds=30)

    step = start(job)

    assert step == Overdue()
    assert steps(job) == []


def test_start_does_not_risk_a_duplicate_of_an_overdue_message(
    accept: Accept, start: Do, lose: Do, clock: MemoryClock, see: See
) -> None:
    job = accept(lane=Lane.PRIORITY, expires_at=clock.now() + timedelta(seconds=30))
    start(job)
    lose(job)
    clock.advance(seconds=30)

    step = start(job)

    assert step == Settled()
    assert see(job).status is Status.ACCEPTED


def test_start_refuses_a_message_that_is_not_there(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    job = Job(UUID(int=404), account_id, account_id)

    with pytest.raises(MessageNotFound):
        ledger.decide(StartSubmission(job, None, Policy(), cause()))


def test_record_receipt_charges_once(
    accept: Accept, start: Do, take: Do, see: See, steps: Names, entries: Names
) -> None:
    job = accept()
    start(job)
    take(job)

    step = take(job)

    assert step == Settled()
    assert see(job).charged_micros == 800_000
    assert steps(job) == ["SubmitStarted", "Submitted"]
    assert entries() == ["Reserved", "Charged"]


def test_record_receipt_charges_nothing_in_test_mode(
    accept: Accept, start: Do, take: Do, see: See, entries: Names
) -> None:
    job = accept(mode=Mode.TEST)
    start(job)

    take(job, aggregator="sandbox")

    assert see(job).status is Status.SUBMITTED
    assert see(job).charged_micros == 0
    assert entries() == []


def test_record_receipt_charges_when_it_comes_after_the_worker_was_given_up(
    accept: Accept, start: Do, take: Do, clock: MemoryClock, see: See
) -> None:
    job = accept()
    start(job, request_id="job_1")
    clock.advance(seconds=25)
    start(job, request_id="job_2")

    take(job)

    assert see(job).status is Status.SUBMITTED
    assert see(job).charged_micros == 800_000
    assert not see(job).outcome_unknown


def test_record_receipt_charges_one_of_two_that_come(
    accept: Accept, start: Do, lose: Do, take: Do, see: See, entries: Names
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    lose(job)
    start(job)
    take(job, attempt=1)

    take(job, attempt=2, aggregator="africastalking")

    assert see(job).aggregator == "africastalking"
    assert see(job).charged_micros == 800_000
    assert entries() == ["Reserved", "Charged"]


def test_record_receipt_charges_nothing_after_the_reservation_was_released(
    lost: Job, conclude: Do, take: Do, see: See, entries: Names
) -> None:
    conclude(lost)

    take(lost)

    assert see(lost).status is Status.UNKNOWN
    assert see(lost).reference is not None
    assert see(lost).charged_micros == 0
    assert entries() == ["Reserved", "Released"]
