"""Campaigns under way: accepted in pieces, cancelled, completed, and settled once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.application.bus import NotReady
from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.campaign_pieces import PieceAcceptor
from semalink.application.campaign_sending import (
    AcceptPiece,
    CampaignRef,
    CancelMessages,
    CompleteCampaign,
    SettleCampaign,
)
from semalink.application.delivery_reports import RecordReport
from semalink.application.opt_outs import RecordOptOuts
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.submission import Policy
from semalink.application.tasks import Task
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

#: The last second of a month in Nairobi.
MONTHS_END = datetime(2026, 11, 30, 20, 59, 59, tzinfo=UTC)
NOBODY = CampaignRef(UUID(int=404), UUID(int=0xACC0), UUID(int=0xACC0))


@pytest.fixture
def started(
    desk: Any, scheduler: Scheduler, acceptor: PieceAcceptor, account_id: UUID
) -> Callable[..., Any]:
    """Starts a campaign and has its pieces accepted."""

    async def of(recipient_count: int, *, accepts: bool = True, **facts: Any) -> CampaignRef:
        ref: CampaignRef = desk.schedule(recipient_count, account_id=account_id, **facts)
        await scheduler.start_due()
        for task in desk.campaigns.tasks(ref.campaign_id) if accepts else ():
            await acceptor.accept(task)
        return ref

    return of


def _messages(ledger: MemoryLedger) -> Sequence[Message.Created]:
    return [each for each in ledger.log if isinstance(each, Message.Created)]


async def test_accept_makes_a_message_of_each_recipient_once(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(2, accepts=False, metadata={"offer": "may"})
    [task] = desk.campaigns.tasks(ref.campaign_id)

    await acceptor.accept(task)
    await acceptor.accept(task)

    first, second = _messages(ledger)
    assert [first.to, second.to] == ["+254700000000", "+254700000001"]
    assert (first.campaign_id, first.metadata) == (ref.campaign_id, {"offer": "may"})
    assert desk.campaigns.states(ref.campaign_id) == ["held", "held"]


async def test_accept_notes_what_rules_in_shadow_mode_found(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(2, accepts=False)
    first, second = desk.campaigns.recipients[ref.campaign_id]
    shadowed = replace(second, shadow_rules=("loans", "bets"))
    desk.campaigns.recipients[ref.campaign_id] = [first, shadowed]

    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)

    assert [tuple(each.shadow_rules) for each in _messages(ledger)] == [(), ("loans", "bets")]


async def test_accept_names_the_prices_that_the_check_applied(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(1, accepts=False)
    [priced] = desk.campaigns.recipients[ref.campaign_id]
    desk.campaigns.recipients[ref.campaign_id] = [replace(priced, priced_by="platform@7")]

    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)

    assert [each.priced_by for each in _messages(ledger)] == ["platform@7"]


async def test_report_gives_back_to_the_month_in_which_the_campaign_was_counted(  # noqa: PLR0917
    desk: Any,
    scheduler: Scheduler,
    acceptor: PieceAcceptor,
    ledger: MemoryLedger,
    clock: MemoryClock,
    start: Callable[..., Any],
    take: Callable[..., Any],
) -> None:
    agent_id, customer_id = desk.open_customer()
    clock.advance(seconds=(MONTHS_END - clock.now()).total_seconds())
    ref = desk.schedule(1, account_id=customer_id, payer_id=agent_id)
    await scheduler.start_due()
    clock.advance(seconds=2)
    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)
    [pending] = ledger.pending().values()
    start(pending.job)
    take(pending.job)
    reference = f"celcom-{pending.job.message_id.int}-1"
    report = DeliveryReport(reference, ReportState.REJECTED, "Rejected")

    ledger.decide(RecordReport(pending.job.message_id, agent_id, "celcom", report, desk.cause()))

    assert ledger.spent == {(customer_id, "2026-11"): 0}


async def test_accept_leaves_out_who_opted_out_since_the_check(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = await started(2, accepts=False)
    subject = OptOutSubject(account_id, "SEMA", "+254700000000")
    ledger.decide(RecordOptOuts((subject,), OptOutSource.API, "asked", desk.cause()))

    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)

    assert [each.to for each in _messages(ledger)] == ["+254700000001"]


async def test_accept_ends_its_task_when_there_is_nothing_to_accept(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(1, accepts=False)
    desk.campaigns.recipients[ref.campaign_id] = []
    empty = Task(UUID(int=1), "sms.content", "accept_piece", ref.account_id, _payload(ref))
    gone = Task(UUID(int=2), "sms.content", "accept_piece", ref.account_id, _payload(NOBODY))

    await acceptor.accept(empty)
    await acceptor.accept(gone)

    assert desk.campaigns.done_tasks == {UUID(int=1), UUID(int=2)}
    assert _messages(ledger) == []


async def test_accept_is_not_ready_while_the_ledger_is_away(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(1, accepts=False)
    [task] = desk.campaigns.tasks(ref.campaign_id)
    ledger.is_available = False

    with pytest.raises(NotReady):
        await acceptor.accept(task)

    assert desk.campaigns.done_tasks == set()


async def test_accept_makes_no_message_of_a_cancelled_campaign(
    desk: Any, started: Any, acceptor: PieceAcceptor, ledger: MemoryLedger
) -> None:
    ref = await started(2, accepts=False)
    desk.move(ref, "cancel", "mistake")

    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)

    assert _messages(ledger) == []


async def test_accept_piece_belongs_to_nobody_and_to_no_unknown_campaign(
    desk: Any, ledger: MemoryLedger
) -> None:
    command = AcceptPiece(NOBODY, 0, [], [], desk.cause())

    outcome = ledger.decide(command).value

    assert (command.subject, command.weight, outcome.accepted_count) == (None, 1, 0)


async def test_step_cancels_what_waits_and_gives_the_money_back_once(
    desk: Any, started: Any, keeper: CampaignKeeper, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = await started(3)
    desk.move(ref, "cancel", "mistake")

    for _ in range(3):
        await keeper.step()

    assert [type(each).__name__ for each in ledger.events_of(_messages(ledger)[0].originator_id)][
        1:
    ] == ["Cancelled"]
    assert ledger.balance(account_id).reserved_micros == 0
    released = [each for each in ledger.log if isinstance(each, CreditAccount.Released)]
    assert [each.amount_micros for each in released] == [2_400_000]
    assert desk.campaign(ref).is_settled


async def test_step_waits_for_pieces_and_for_messages(
    desk: Any, started: Any, keeper: CampaignKeeper, acceptor: PieceAcceptor
) -> None:
    ref = await started(1, accepts=False)
    await keeper.step()
    with_pieces = desk.campaign(ref).state
    for task in desk.campaigns.tasks(ref.campaign_id):
        await acceptor.accept(task)

    sleeps = await keeper.step()

    assert {with_pieces, desk.campaign(ref).state} == {CampaignState.SENDING}
    assert (sleeps, keeper.under_way_count) == (1.0, 1)


async def test_step_completes_and_settles_later_while_an_answer_is_missing(  # noqa: PLR0917
    desk: Any,
    started: Any,
    keeper: CampaignKeeper,
    ledger: MemoryLedger,
    lose: Callable[..., Any],
    conclude: Callable[..., Any],
    start: Callable[..., Any],
) -> None:
    ref = await started(1)
    [pending] = ledger.pending().values()
    start(pending.job)
    lose(pending.job)

    await keeper.step()
    completed = desk.campaign(ref)
    conclude(pending.job)
    await keeper.step()

    assert (completed.state, completed.is_settled) == (CampaignState.COMPLETED, False)
    assert desk.campaign(ref).is_settled


async def test_step_gives_up_what_a_lost_worker_had_in_hand_of_a_cancelled_campaign(  # noqa: PLR0917
    desk: Any,
    started: Any,
    keeper: CampaignKeeper,
    ledger: MemoryLedger,
    clock: MemoryClock,
    conclude: Callable[..., Any],
    start: Callable[..., Any],
) -> None:
    ref = await started(2)
    pending, _ = ledger.pending().values()
    start(pending.job)
    desk.move(ref, "cancel", "mistake")

    await keeper.step()
    in_hand = desk.campaigns.states(ref.campaign_id)
    clock.advance(seconds=25)
    await keeper.step()
    given_up = desk.campaigns.states(ref.campaign_id)
    conclude(pending.job)
    await keeper.step()

    assert (in_hand, given_up) == (["held"], ["unknown"])
    assert desk.campaign(ref).is_settled
    assert ledger.balance(ref.account_id).reserved_micros == 0


async def test_step_settles_a_test_without_money(
    desk: Any, started: Any, keeper: CampaignKeeper, ledger: MemoryLedger
) -> None:
    ref = await started(1, mode="test")
    desk.move(ref, "cancel", "enough")

    await keeper.step()
    await keeper.step()

    [settled] = [each for each in ledger.log if isinstance(each, Campaign.Settled)]
    assert settled.released_micros == 0
    assert desk.campaign(ref).is_settled


async def test_step_goes_on_with_the_others_when_one_cannot_be_settled(
    desk: Any, started: Any, keeper: CampaignKeeper
) -> None:
    stuck = desk.schedule(1, account_id=UUID(int=404))
    desk.move(stuck, "start", 800_000)
    desk.campaigns.recipients[stuck.campaign_id] = []
    desk.move(stuck, "cancel", "mistake")
    other = await started(1)
    desk.move(other, "cancel", "mistake")

    for _ in range(2):
        await keeper.step()

    assert desk.campaign(other).is_settled
    assert not desk.campaign(stuck).is_settled
    assert keeper.stuck_count == 2


async def test_step_sleeps_long_when_nothing_is_under_way(
    campaigns: MemoryCampaigns, keeper: CampaignKeeper
) -> None:
    sleeps = await keeper.step()

    assert sleeps == 30.0
    assert await campaigns.under_way() == []


async def test_settle_does_nothing_before_the_end_or_twice(
    desk: Any, started: Any, keeper: CampaignKeeper, ledger: MemoryLedger
) -> None:
    sending = await started(1)
    over = await started(1)
    desk.move(over, "cancel", "mistake")
    await keeper.step()
    await keeper.step()
    draft = desk.schedule(1, account_id=sending.account_id)

    outcomes = [
        ledger.decide(SettleCampaign(ref, desk.cause())).value
        for ref in (sending, over, draft, NOBODY)
    ]

    assert outcomes == [None, None, None, None]


async def test_settle_gives_nothing_back_when_everything_was_charged(
    desk: Any,
    started: Any,
    keeper: CampaignKeeper,
    ledger: MemoryLedger,
    start: Callable[..., Any],
    take: Callable[..., Any],
) -> None:
    ref = await started(1)
    [pending] = ledger.pending().values()
    start(pending.job)
    take(pending.job)

    await keeper.step()

    assert desk.campaign(ref).is_settled
    assert ledger.open_reservations == {}
    assert ledger.balance(ref.account_id).posted_micros == 9_200_000


async def test_complete_and_cancel_messages_mind_where_the_campaign_stands(
    desk: Any, started: Any, ledger: MemoryLedger
) -> None:
    sending = await started(1)
    [message] = _messages(ledger)

    command = CancelMessages(sending, [message.originator_id], Policy(), desk.cause())
    cancelled = ledger.decide(command).value
    again = [
        ledger.decide(CompleteCampaign(ref, desk.cause())).value
        for ref in (sending, sending, NOBODY)
    ]

    assert cancelled == 0
    assert again == [True, False, False]


def _payload(ref: CampaignRef) -> dict[str, Any]:
    return {"campaign_id": str(ref.campaign_id), "first": 0, "size": 1_000}
