"""The log lines of the workers: one for each step, with the ids that lead to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Command
from semalink.application.ports import (
    DeliveryReport,
    FailureClass,
    Receipt,
    ReportState,
    SendFailed,
)
from semalink.application.sending import AcceptMessage
from semalink.application.submission import (
    ConcludeUnknown,
    ExpireInQueue,
    Job,
    Policy,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    StartSubmission,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Lane, Mode
from semalink.domain.errors import MessageNotFound
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_ops.observability.step_log import LoggedLedger

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
CAUSE = Cause("worker:sms", NOW, "job_1")
LATER = Cause("worker:sms", NOW + timedelta(days=3), "job_1")
ACCOUNT_ID = UUID(int=1)
JOB = Job(UUID(int=2), ACCOUNT_ID, ACCOUNT_ID)
REPORT = DeliveryReport("ref-1", ReportState.DELIVERED, "Delivered")
REFUSED = SendFailed(
    FailureClass.ROUTE, provider_code="", detail="no", retryable=False, may_fail_over=True
)
IDS = {
    "message_id": f"msg_{JOB.message_id.hex}",
    "account_id": f"acct_{ACCOUNT_ID.hex}",
    "request_id": "job_1",
    "log_level": "info",
}
START = StartSubmission(JOB, None, Policy(), CAUSE)
ATTEMPT = {"aggregator": "celcom", "attempt": 1}


@pytest.fixture
async def ledger() -> LoggedLedger:
    """A ledger with one accepted message."""
    ledger = MemoryLedger()
    draft = Draft(
        account_id=ACCOUNT_ID,
        billing_account_id=ACCOUNT_ID,
        mode=Mode.LIVE,
        to="+254712345678",
        country="KE",
        network="safaricom",
        text="Karibu",
        sender="SEMA",
        lane=Lane.NORMAL,
        encoding="gsm-7",
        segments=1,
        price_micros=800_000,
        expires_at=NOW + timedelta(hours=1),
        metadata={},
    )
    commands: list[Command[Any]] = [
        OpenAccount(ACCOUNT_ID, "Duka", Kind.DIRECT, Tier.STARTER, CAUSE),
        TopUp(ACCOUNT_ID, 10_000_000, "payment-1", CAUSE),
        AcceptMessage(JOB.message_id, ACCOUNT_ID, draft, CAUSE, None),
    ]
    for command in commands:
        await ledger.execute(command)
    return LoggedLedger(ledger)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            RecordReceipt(JOB, 1, "celcom", Receipt("ref-1"), CAUSE),
            {"event": "message_submitted", **ATTEMPT},
        ),
        (
            RecordRefusal(JOB, 1, REFUSED, None, Policy(), CAUSE),
            {
                "event": "message_refused",
                **ATTEMPT,
                "failure": "route",
                "tries_other_route": True,
            },
        ),
        (
            RecordUnknownOutcome(JOB, 1, Policy(), CAUSE),
            {"event": "message_outcome_unknown", **ATTEMPT},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_submission_logs_what_the_aggregator_answered(
    ledger: LoggedLedger, command: Command[Any], line: dict[str, Any]
) -> None:
    with capture_logs() as lines:
        await ledger.execute(START)
        await ledger.execute(command)

    assert lines == [{**IDS, **line}]


async def test_expiry_is_logged(ledger: LoggedLedger) -> None:
    with capture_logs() as lines:
        await ledger.execute(ExpireInQueue(JOB, LATER))

    assert lines == [{**IDS, "event": "message_expired"}]


async def test_end_of_waiting_is_logged(ledger: LoggedLedger) -> None:
    await ledger.execute(START)
    await ledger.execute(RecordUnknownOutcome(JOB, 1, Policy(), CAUSE))

    with capture_logs() as lines:
        await ledger.execute(ConcludeUnknown(JOB, LATER))

    assert lines == [{**IDS, "event": "message_unknown"}]


async def test_report_is_logged_with_the_state_after_it(ledger: LoggedLedger) -> None:
    await ledger.execute(START)
    await ledger.execute(RecordReceipt(JOB, 1, "celcom", Receipt("ref-1"), CAUSE))

    with capture_logs() as lines:
        await ledger.execute(RecordReport(JOB.message_id, ACCOUNT_ID, "celcom", REPORT, CAUSE))

    [line] = lines
    assert line["event"] == "message_reported"
    assert (line["reported"], line["state"]) == ("delivered", "delivered")
    assert (line["message_id"], line["request_id"]) == (IDS["message_id"], "job_1")


async def test_refused_command_is_not_logged(ledger: LoggedLedger) -> None:
    unknown = Job(UUID(int=9), ACCOUNT_ID, ACCOUNT_ID)

    with capture_logs() as lines, pytest.raises(MessageNotFound):
        await ledger.execute(ExpireInQueue(unknown, CAUSE))

    assert lines == []
