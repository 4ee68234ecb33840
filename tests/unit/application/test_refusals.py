from collections.abc import Callable
from datetime import timedelta

from semalink.application.ports import FailureClass
from semalink.application.submission import (
    Job,
    Next,
    Overdue,
    Policy,
    Ready,
    Settled,
    TryAgain,
    Wait,
)
from semalink.domain.draft import Mode
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
Do = Callable[..., Next]
See = Callable[[Job], Message]
Names = Callable[..., list[str]]


def test_record_refusal_fails_over(accept: Accept, start: Do, refuse: Do, see: See) -> None:
    job = accept()
    start(job)

    step = refuse(job)
    next_step = start(job)

    assert step == TryAgain()
    assert isinstance(next_step, Ready)
    assert (next_step.aggregator, next_step.attempt) == ("africastalking", 2)
    assert not see(job).possible_duplicate


def test_record_refusal_fails_over_from_the_preferred_route(
    accept: Accept, start: Do, refuse: Do
) -> None:
    job = accept()
    start(job, preferred="africastalking")
    refuse(job, preferred="africastalking")

    step = start(job, preferred="africastalking")

    assert isinstance(step, Ready)
    assert step.aggregator == "celcom"


def test_record_refusal_answers_alike_when_its_answer_was_lost(
    accept: Accept, start: Do, refuse: Do, steps: Names
) -> None:
    job = accept()
    start(job)
    first = refuse(job)

    second = refuse(job)

    assert second == first == TryAgain()
    assert steps(job) == ["SubmitStarted", "SubmitRefused"]


def test_record_refusal_changes_nothing_when_another_attempt_is_in_flight(
    accept: Accept, start: Do, refuse: Do, steps: Names
) -> None:
    job = accept()
    start(job)
    refuse(job)
    start(job)

    step = refuse(job, attempt=1)

    assert step == Settled()
    assert steps(job) == ["SubmitStarted", "SubmitRefused", "SubmitStarted"]


def test_record_refusal_rejects_and_releases_when_every_route_refused(
    accept: Accept, start: Do, refuse: Do, see: See, entries: Names
) -> None:
    job = accept()
    start(job)
    refuse(job)
    start(job)

    step = refuse(job, attempt=2)

    assert step == Settled()
    assert see(job).status is Status.REJECTED
    assert see(job).failure_code == "no_route"
    assert entries() == ["Reserved", "Released"]


def test_record_refusal_rejects_at_once_what_no_other_route_would_take(
    accept: Accept, start: Do, refuse: Do, see: See, entries: Names
) -> None:
    job = accept()
    start(job)

    refuse(job, failure=FailureClass.RECIPIENT, may_fail_over=False)

    assert see(job).status is Status.REJECTED
    assert see(job).failure_code == "invalid_number"
    assert entries() == ["Reserved", "Released"]


def test_record_refusal_puts_the_message_off_for_longer_each_time(
    accept: Accept, start: Do, refuse: Do, clock: MemoryClock, see: See, ledger: MemoryLedger
) -> None:
    job = accept()
    delays = []

    for round_number in range(3):
        start(job)
        refuse(job, attempt=2 * round_number + 1, failure=FailureClass.TRANSIENT, retryable=True)
        start(job)
        refuse(job, attempt=2 * round_number + 2, failure=FailureClass.TRANSIENT, retryable=True)
        retry_at = see(job).retry_at
        assert retry_at is not None
        delays.append((retry_at - clock.now()).total_seconds())
        clock.advance(seconds=delays[-1])

    assert delays == [5, 15, 60]
    assert see(job).status is Status.ACCEPTED
    assert ledger.pending()[job.message_id].state == "postponed"
    assert ledger.pending()[job.message_id].round == 3
    assert job.message_id in ledger.open_reservations


def test_record_refusal_puts_the_message_off_no_longer_than_it_is_valid(
    accept: Accept, start: Do, refuse: Do, clock: MemoryClock, see: See
) -> None:
    job = accept(expires_at=clock.now() + timedelta(seconds=3))
    start(job)
    refuse(job, attempt=1, failure=FailureClass.TRANSIENT, retryable=True)
    start(job)

    refuse(job, attempt=2, failure=FailureClass.TRANSIENT, retryable=True)

    assert see(job).retry_at == clock.now() + timedelta(seconds=3)
    clock.advance(seconds=3)
    assert start(job) == Overdue()


def test_record_refusal_puts_the_message_off_when_the_first_route_may_take_it_later(
    accept: Accept, start: Do, refuse: Do, see: See
) -> None:
    job = accept()
    start(job)
    refuse(job, failure=FailureClass.TRANSIENT, retryable=True)
    start(job)

    refuse(job, attempt=2, failure=FailureClass.ROUTE, retryable=False)

    assert see(job).status is Status.ACCEPTED
    assert see(job).retry_at is not None


def test_record_refusal_rejects_when_the_second_route_knows_better(
    accept: Accept, start: Do, refuse: Do, see: See
) -> None:
    job = accept()
    start(job)
    refuse(job, failure=FailureClass.TRANSIENT, retryable=True)
    start(job)

    refuse(job, attempt=2, failure=FailureClass.OPTED_OUT, may_fail_over=False)

    assert see(job).status is Status.REJECTED
    assert see(job).failure_code == "opted_out"


def test_start_waits_for_the_time_that_a_message_was_put_off_to(
    accept: Accept, start: Do, refuse: Do, clock: MemoryClock, see: See
) -> None:
    job = accept()
    start(job)
    refuse(job, retryable=True, may_fail_over=False)
    early = start(job)
    clock.advance(seconds=5)

    due = start(job)

    assert early == Wait(clock.now())
    assert isinstance(due, Ready)
    assert (due.aggregator, due.attempt) == ("celcom", 2)


def test_start_settles_when_every_route_has_refused(
    accept: Accept, start: Do, refuse: Do, see: See
) -> None:
    job = accept()
    start(job)
    refuse(job)

    step = start(job, policy=Policy(order=("celcom",)))

    assert step == Settled()
    assert see(job).is_waiting


def test_record_refusal_never_leaves_the_sandbox_in_test_mode(
    accept: Accept, start: Do, refuse: Do, see: See, entries: Names
) -> None:
    job = accept(mode=Mode.TEST)
    start(job)

    step = refuse(job)

    assert step == Settled()
    assert see(job).status is Status.REJECTED
    assert entries() == []
