"""One log line for each step of a message that a worker has made durable."""

from contextvars import ContextVar
from typing import Any, TypeVar

import structlog

from semalink.application.awaited_reports import GiveUpOnReport
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Answer, Command, Ledger
from semalink.application.submission import (
    ConcludeUnknown,
    ExpireInQueue,
    Job,
    Ready,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    TryAgain,
)
from semalink.domain.cause import Cause
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: Who was asked last; a task has one message in hand, and answers do not name who gave them.
_asked: ContextVar[str] = ContextVar("asked", default="")


class LoggedLedger:
    """A ledger that logs what the commands of workers came to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def execute(self, command: Command[T]) -> Answer[T]:
        """Decide and commit, then log; what is refused or undecided is not logged."""
        answer = await self._ledger.execute(command)
        _log_step(command, answer.value)
        return answer


def _log_step(command: Any, value: Any) -> None:
    match command:
        case RecordReceipt():
            _tell("message_submitted", command, attempt=command.attempt)
        case RecordRefusal():
            _tell(
                "message_refused",
                command,
                attempt=command.attempt,
                failure=command.failure.failure.value,
                tries_other_route=isinstance(value, TryAgain),
            )
        case RecordUnknownOutcome():
            _tell("message_outcome_unknown", command, attempt=command.attempt)
        case ExpireInQueue():
            _log.info("message_expired", **_ids(command.job, command.cause))
        case ConcludeUnknown() | GiveUpOnReport():
            _log.info("message_unknown", **_ids(command.job, command.cause))
        case RecordReport():
            _tell_report(command, value.value)
        case _:
            if isinstance(value, Ready):
                _asked.set(value.aggregator)


def _tell(
    event: str, command: RecordReceipt | RecordRefusal | RecordUnknownOutcome, **facts: Any
) -> None:
    _log.info(event, **_ids(command.job, command.cause), aggregator=_asked.get(), **facts)


def _tell_report(command: RecordReport, state: str) -> None:
    _log.info(
        "message_reported",
        message_id=format_id(MESSAGE_PREFIX, command.message_id),
        billing_account_id=format_id(ACCOUNT_PREFIX, command.billing_account_id),
        request_id=command.cause.request_id,
        aggregator=command.aggregator,
        reported=command.report.state.value,
        state=state,
    )


def _ids(job: Job, cause: Cause) -> dict[str, str]:
    return {
        "message_id": format_id(MESSAGE_PREFIX, job.message_id),
        "account_id": format_id(ACCOUNT_PREFIX, job.account_id),
        "request_id": cause.request_id,
    }
