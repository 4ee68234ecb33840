from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from semalink.application.event_view import Reader, history_of
from semalink.application.explaining import Explanation, explain
from semalink.application.ports import FailureClass, Receipt, ReportState, SendFailed
from semalink.application.provider_words import hide_amounts
from semalink.application.submission import (
    Job,
    Next,
    Policy,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
)
from semalink.domain.cause import Cause
from semalink.domain.status import Status
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

Accept = Callable[..., Job]
Do = Callable[..., Next]
ANSWER = '{"cost":"KES 0.6543","description":"Low credit, balance 12.50"}'
REFUSAL = SendFailed(
    FailureClass.PROVIDER_CREDIT,
    provider_code="1004",
    detail="Low credit, balance 12.50",
    retryable=True,
    may_fail_over=True,
    answer=ANSWER,
)


@pytest.fixture
def why(ledger: MemoryLedger) -> Callable[..., Any]:
    """Explains the message of a job, to its account or to operators."""
    reads = MemoryReads(ledger)

    async def of(job: Job, *, to_operators: bool = False) -> Explanation | None:
        return await reads.explanation(job.message_id, None if to_operators else job.account_id)

    return of


async def test_explain_tells_what_the_text_takes(accept: Accept, why: Callable[..., Any]) -> None:
    explanation = await why(accept(text="Tŵr Hŵs €", encoding="UCS-2"))

    [forced] = explanation.text.forcing_characters
    assert (forced.character, forced.positions) == ("ŵ", (1, 5))
    assert (explanation.text.encoding, explanation.text.units) == ("UCS-2", 9)


async def test_explain_tells_of_each_attempt(
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    accepted: Job,
    start: Do,
    why: Callable[..., Any],
) -> None:
    start(accepted)
    clock.advance(seconds=0.25)
    ledger.decide(RecordRefusal(accepted, 1, REFUSAL, None, Policy(), cause()))
    start(accepted)
    receipt = Receipt("ATPid_1", cost="KES 0.6543", answer=ANSWER)
    ledger.decide(RecordReceipt(accepted, 2, "africastalking", receipt, cause()))

    first, second = (await why(accepted, to_operators=True)).attempts

    assert (first.number, first.aggregator, first.outcome) == (1, "celcom", "refused")
    assert (first.reason, second.reason) == ("default", "next_route")
    assert first.health is not None
    assert set(first.health) == {"celcom", "africastalking"}
    assert (first.milliseconds, first.answer) == (250, ANSWER)
    assert first.failure is not None
    assert (first.failure.code, first.provider_code) == ("provider_out_of_credit", "1004")
    assert (second.number, second.aggregator, second.outcome) == (2, "africastalking", "accepted")
    assert (second.reference, second.provider_cost) == ("ATPid_1", "KES 0.6543")


async def test_explain_tells_of_an_attempt_under_way(
    in_flight: Job, why: Callable[..., Any]
) -> None:
    [attempt] = (await why(in_flight)).attempts

    assert (attempt.outcome, attempt.ended_at, attempt.answer) == ("in_flight", None, None)


async def test_explain_tells_of_an_answer_that_was_lost(
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    in_flight: Job,
    why: Callable[..., Any],
) -> None:
    ledger.decide(RecordUnknownOutcome(in_flight, 1, Policy(), cause(), "<html>"))

    [attempt] = (await why(in_flight)).attempts

    assert (attempt.outcome, attempt.provider_detail) == ("unknown", "unreadable_answer")
    assert attempt.answer == "<html>"
    assert attempt.waits_until == clock.now() + timedelta(hours=48)


async def test_explain_tells_reports_credits_and_times(
    clock: MemoryClock,
    submitted: Job,
    report: Callable[..., Status],
    why: Callable[..., Any],
) -> None:
    clock.advance(seconds=2)
    report(submitted, ReportState.QUEUED, description="Scheduled")
    clock.advance(seconds=3)
    report(submitted, ReportState.REJECTED, description="REJECTD")

    explanation = await why(submitted)

    assert [(one.state, one.description) for one in explanation.reports] == [
        ("queued", "Scheduled"),
        ("rejected", "REJECTD"),
    ]
    assert explanation.reports[1].failure.code == "rejected_by_operator"
    assert [view.name for view in explanation.credits] == [
        "credit.reserved",
        "credit.charged",
        "credit.refunded",
    ]
    times = {one.step: (one.milliseconds, one.total_milliseconds) for one in explanation.timing}
    assert times["message.report_noted"] == (2_000, 2_000)
    assert times["message.rejected"] == (3_000, 5_000)
    assert explanation.status == "rejected"


async def test_explain_takes_no_end_for_a_report_that_none_told(
    lost: Job, conclude: Do, why: Callable[..., Any]
) -> None:
    conclude(lost)

    explanation = await why(lost)

    assert explanation.status == "unknown"
    assert explanation.reports == []


async def test_explain_tells_the_price_and_the_rule(
    accept: Accept, why: Callable[..., Any]
) -> None:
    plain = (await why(accept())).price
    agreed = (await why(accept(priced_by="rate_card@7", refunded_on=("unknown", "failed")))).price

    assert (plain.price_micros, plain.cost_micros, plain.priced_by) == (800_000, 800_000, None)
    assert plain.refunded_on == ["rejected"]
    assert (agreed.priced_by, agreed.refunded_on) == ("rate_card@7", ["failed", "unknown"])


async def test_explain_hides_whoever_pays(
    ledger: MemoryLedger,
    cause: Callable[..., Cause],
    accept: Accept,
    start: Do,
    why: Callable[..., Any],
) -> None:
    job = accept(cost_micros=500_000, priced_by="acct_agent@3")
    start(job)
    ledger.decide(RecordRefusal(job, 1, REFUSAL, None, Policy(), cause()))
    start(job)
    receipt = Receipt("ATPid_1", cost="KES 0.6543", answer=ANSWER)
    ledger.decide(RecordReceipt(job, 2, "africastalking", receipt, cause()))
    events = ledger.events_of(job.account_id)[-2:]
    story = [*ledger.events_of(job.message_id), *events]

    shown = explain(story, Reader.SPONSORED)
    whole = explain(story, Reader.PAYER)

    hidden = '{"cost":"*","description":"Low credit, balance *"}'
    assert [attempt.answer for attempt in shown.attempts] == [hidden, hidden]
    assert shown.attempts[0].provider_detail == "Low credit, balance *"
    assert shown.attempts[1].provider_cost is None
    assert (shown.price.cost_micros, shown.price.priced_by) == (None, None)
    assert (whole.price.cost_micros, whole.price.priced_by) == (500_000, "acct_agent@3")
    assert "posted_after_micros" not in str(shown.credits)


async def test_explain_finds_nothing_of_others(accepted: Job, why: Callable[..., Any]) -> None:
    other = replace(accepted, account_id=accepted.message_id)

    assert await why(other) is None
    assert await why(accepted, to_operators=True) is not None


async def test_explain_shows_what_the_platform_pays_to_operators_only(
    ledger: MemoryLedger,
    cause: Callable[..., Cause],
    accepted: Job,
    start: Do,
    report: Callable[..., Status],
    why: Callable[..., Any],
) -> None:
    start(accepted)
    ledger.decide(RecordRefusal(accepted, 1, REFUSAL, None, Policy(), cause()))
    start(accepted)
    receipt = Receipt("ATPid_1", cost="KES 0.6543", answer=ANSWER)
    ledger.decide(RecordReceipt(accepted, 2, "africastalking", receipt, cause()))
    report(accepted, ReportState.QUEUED, description="Billed KES 0.6543")
    report(accepted, ReportState.DELIVERED, description="Delivered, balance is 12")

    own, told = await why(accepted), await why(accepted, to_operators=True)
    story = ledger.events_of(accepted.message_id)
    payers = [history_of(story, reader) for reader in (Reader.PAYER, Reader.SPONSORED)]

    for amount in ("0.6543", "12.50", "is 12"):
        assert amount in str(told)
        assert amount not in str(own)
        assert amount not in str(payers)
    assert own.price.cost_micros == 800_000
    assert "12.50" in str(history_of(story, Reader.OPERATOR))
    assert "Low credit, balance *" in str(payers)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("Current balance 1523, Required 1", "Current balance *, Required *"),
        ("Sent to 1/1 Total Cost: KES 0.8000", "Sent to 1/1 Total Cost: *"),
        ('{"credit":1523,"code":1004}', '{"credit":*,"code":1004}'),
        ('{"balance":"1,523"}', '{"balance":"*"}'),
        ("You have KSh 40, or Sh. 3.", "You have *, or *."),
        ("InvalidSenderId (402)", "InvalidSenderId (402)"),
    ],
)
def test_hide_amounts_hides_money_and_nothing_else(words: str, shown: str) -> None:
    assert hide_amounts(words) == shown
