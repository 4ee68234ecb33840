from collections.abc import Callable

import pytest

from semalink.application.ports import FailureClass, Receipt, SendFailed
from semalink.application.submission import (
    Job,
    Policy,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
)
from semalink.domain.cause import Cause
from semalink_adapters.memory_ledger import MemoryLedger

ANSWER = '{"responses":[]}'


def _receipt(job: Job, cause: Cause) -> RecordReceipt:
    return RecordReceipt(job, 1, "celcom", Receipt("1", answer=ANSWER), cause)


def _refusal(job: Job, cause: Cause) -> RecordRefusal:
    failure = SendFailed(
        FailureClass.ROUTE,
        provider_code="1002",
        detail="no",
        retryable=False,
        may_fail_over=True,
        answer=ANSWER,
    )
    return RecordRefusal(job, 1, failure, None, Policy(), cause)


def _unknown(job: Job, cause: Cause) -> RecordUnknownOutcome:
    return RecordUnknownOutcome(job, 1, Policy(), cause, ANSWER)


@pytest.mark.parametrize("record", [_receipt, _refusal, _unknown])
def test_record_keeps_what_the_aggregator_answered(
    record: Callable[[Job, Cause], RecordReceipt | RecordRefusal | RecordUnknownOutcome],
    ledger: MemoryLedger,
    cause: Callable[..., Cause],
    in_flight: Job,
) -> None:
    ledger.decide(record(in_flight, cause()))

    [*_, step] = ledger.events_of(in_flight.message_id)
    assert vars(step)["answer"] == ANSWER


@pytest.mark.parametrize(
    ("answer", "reason"), [(None, "no_answer"), ("<html>", "unreadable_answer")]
)
def test_record_tells_an_answer_that_nobody_can_read_from_none(
    answer: str | None,
    reason: str,
    ledger: MemoryLedger,
    cause: Callable[..., Cause],
    in_flight: Job,
) -> None:
    ledger.decide(RecordUnknownOutcome(in_flight, 1, Policy(), cause(), answer))

    [*_, step] = ledger.events_of(in_flight.message_id)
    assert vars(step)["reason"] == reason
