from collections.abc import Callable
from dataclasses import dataclass

import pytest

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.ports import FailureClass, ReportState
from semalink.application.submission import Job, Next, Overdue, Policy, Ready, Settled, TryAgain
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane, Mode
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]


@dataclass(frozen=True, slots=True)
class ReleaseByHand(PlainCommand):
    """Gives credits back without a word to the message, as an operator may."""

    job: Job
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.job.billing_account_id)
        needs.reservations.add(self.job.message_id)

    def decide(self, books: Books) -> int:
        account = books.credit_account(self.job.billing_account_id)
        return account.release(self.job.message_id, self.cause)


def test_record_unknown_outcome_waits_for_a_report(
    accept: Accept, start: Do, lose: Do, clock: MemoryClock, ledger: MemoryLedger, entries: Names
) -> None:
    job = accept()
    start(job)

    step = lose(job)

    assert step == Settled()
    assert start(job) == Settled()
    assert ledger.pending()[job.message_id].state == "unknown"
    assert ledger.pending()[job.message_id].due_at == clock.now() + Policy().unknown_after
    assert entries() == ["Reserved"]


def test_record_unknown_outcome_tries_one_other_route_in_the_priority_lane(
    accept: Accept, start: Do, lose: Do, see: See
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    step = lose(job)
    next_step = start(job)

    last_step = lose(job, attempt=2)

    assert step == TryAgain()
    assert isinstance(next_step, Ready)
    assert next_step.aggregator == "africastalking"
    assert last_step == Settled()
    assert start(job) == Settled()
    assert see(job).possible_duplicate


def test_record_unknown_outcome_answers_alike_when_its_answer_was_lost(
    accept: Accept, start: Do, lose: Do, steps: Names
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    first = lose(job)

    second = lose(job)

    assert second == first == TryAgain()
    assert steps(job) == ["SubmitStarted", "OutcomeUnknown"]


def test_record_unknown_outcome_changes_nothing_when_another_attempt_is_in_flight(
    accept: Accept, start: Do, refuse: Do, lose: Do, steps: Names
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    refuse(job)
    start(job)

    step = lose(job, attempt=1)

    assert step == Settled()
    assert steps(job) == ["SubmitStarted", "SubmitRefused", "SubmitStarted"]


def test_start_has_no_other_route_for_a_lost_answer_when_it_refused_before(
    accept: Accept, start: Do, refuse: Do, lose: Do, see: See
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    refuse(job)
    start(job)
    lose(job, attempt=2)

    step = start(job)

    assert step == Settled()
    assert not see(job).possible_duplicate


def test_start_sends_nothing_twice_to_the_sandbox(accept: Accept, start: Do, lose: Do) -> None:
    job = accept(mode=Mode.TEST, lane=Lane.PRIORITY)
    start(job)
    lose(job)

    step = start(job)

    assert step == Settled()


def test_record_refusal_still_waits_for_a_report_when_an_earlier_answer_was_lost(
    accept: Accept, start: Do, lose: Do, refuse: Do, see: See, entries: Names
) -> None:
    job = accept(lane=Lane.PRIORITY)
    start(job)
    lose(job)
    start(job)

    refuse(job, attempt=2, failure=FailureClass.TRANSIENT, retryable=True, may_fail_over=False)

    assert start(job) == Settled()
    assert see(job).status is Status.ACCEPTED
    assert see(job).outcome_unknown
    assert see(job).retry_at is None
    assert entries() == ["Reserved"]


def test_expire_in_queue_releases(
    accepted: Job, expire: Do, clock: MemoryClock, see: See, entries: Names
) -> None:
    clock.advance(hours=1)

    step = expire(accepted)

    assert step == Settled()
    assert see(accepted).status is Status.EXPIRED
    assert see(accepted).failure_code == "expired_in_queue"
    assert entries() == ["Reserved", "Released"]


def test_expire_in_queue_releases_nothing_in_test_mode(
    accept: Accept, expire: Do, clock: MemoryClock, see: See, entries: Names
) -> None:
    job = accept(mode=Mode.TEST, expires_at=clock.now())

    expire(job)

    assert see(job).status is Status.EXPIRED
    assert entries() == []


def test_expire_in_queue_changes_nothing_in_time(
    accepted: Job, expire: Do, clock: MemoryClock, steps: Names
) -> None:
    clock.advance(minutes=59)

    step = expire(accepted)

    assert step == Settled()
    assert steps(accepted) == []


def test_expire_in_queue_ends_what_the_same_worker_began_and_did_not_hand_over(
    in_flight: Job, expire: Do, clock: MemoryClock, see: See
) -> None:
    clock.advance(hours=1)

    expire(in_flight)

    assert see(in_flight).status is Status.EXPIRED


def test_expire_in_queue_waits_while_another_worker_may_be_in_the_middle_of_the_call(
    accept: Accept, start: Do, expire: Do, clock: MemoryClock, see: See
) -> None:
    job = accept()
    clock.advance(minutes=59, seconds=50)
    start(job, request_id="job_of_another")
    clock.advance(seconds=20)

    expire(job)

    assert see(job).in_submission


def test_expire_in_queue_takes_the_answer_for_lost_when_another_worker_never_came_back(
    accept: Accept, start: Do, expire: Do, clock: MemoryClock, see: See
) -> None:
    job = accept()
    start(job, request_id="job_of_another")
    clock.advance(hours=1)

    expire(job)

    assert see(job).outcome_unknown
    assert see(job).status is Status.ACCEPTED


@pytest.mark.parametrize("so_far", ["lost", "submitted"])
def test_expire_in_queue_changes_nothing_once_it_may_be_on_its_way(
    request: pytest.FixtureRequest,
    ledger: MemoryLedger,
    expire: Do,
    clock: MemoryClock,
    so_far: str,
) -> None:
    job = request.getfixturevalue(so_far)
    clock.advance(hours=1)
    recorded = len(ledger.log)

    step = expire(job)

    assert step == Settled()
    assert len(ledger.log) == recorded


def test_expire_in_queue_changes_nothing_when_repeated(
    accepted: Job, expire: Do, clock: MemoryClock, entries: Names
) -> None:
    clock.advance(hours=1)
    expire(accepted)

    expire(accepted)

    assert entries() == ["Reserved", "Released"]


def test_conclude_unknown_releases(lost: Job, conclude: Do, see: See, entries: Names) -> None:
    conclude(lost)

    assert see(lost).status is Status.UNKNOWN
    assert see(lost).failure_code == "outcome_unknown"
    assert entries() == ["Reserved", "Released"]


@pytest.mark.parametrize("so_far", ["accepted", "in_flight", "submitted"])
def test_conclude_unknown_changes_nothing_when_the_answer_was_not_lost(
    request: pytest.FixtureRequest, ledger: MemoryLedger, conclude: Do, so_far: str
) -> None:
    job = request.getfixturevalue(so_far)
    recorded = len(ledger.log)

    conclude(job)

    assert len(ledger.log) == recorded


def test_conclude_unknown_changes_nothing_when_repeated(
    lost: Job, conclude: Do, entries: Names
) -> None:
    conclude(lost)

    conclude(lost)

    assert entries() == ["Reserved", "Released"]


def test_conclude_unknown_changes_nothing_when_a_receipt_or_a_report_came(
    lost: Job, take: Do, report: Callable[..., Status], conclude: Do, see: See
) -> None:
    take(lost)
    conclude(lost)
    report(lost, ReportState.DELIVERED)

    conclude(lost)

    assert see(lost).status is Status.DELIVERED


def test_conclude_unknown_ends_a_message_whose_reservation_was_resolved_before(
    ledger: MemoryLedger, lost: Job, conclude: Do, cause: Callable[..., Cause], see: See
) -> None:
    ledger.decide(ReleaseByHand(lost, cause()))
    recorded = len(ledger.log)

    conclude(lost)

    assert see(lost).status is Status.UNKNOWN
    assert len(ledger.log) == recorded + 1


def test_start_submission_is_overdue_when_its_own_answer_was_lost_for_too_long(
    in_flight: Job, start: Do, clock: MemoryClock
) -> None:
    clock.advance(hours=1)

    step = start(in_flight)

    assert step == Overdue()
