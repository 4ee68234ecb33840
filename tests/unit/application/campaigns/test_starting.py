"""Starting campaigns: the whole cost in hand, or nothing at all."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.campaign_keeping import CLAIM_SECONDS, CLAIMS_MAX, Scheduler
from semalink.application.campaign_sending import CampaignRef, StartCampaign
from semalink.application.ledger import LedgerUnavailable
from semalink.application.terms import SetSpendingCap
from semalink.domain.campaign import Campaign, CampaignState
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger

NOBODY = CampaignRef(UUID(int=404), UUID(int=0xACC0), UUID(int=0xACC0))


def _sent_back(ledger: MemoryLedger, ref: CampaignRef) -> Campaign.SentBack:
    [event] = [each for each in ledger.log if isinstance(each, Campaign.SentBack)]
    assert event.originator_id == ref.campaign_id
    return event


async def test_start_due_reserves_the_whole_cost_once(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = desk.schedule(3, account_id=account_id)

    await scheduler.start_due()
    await scheduler.start_due()

    assert desk.campaign(ref).state is CampaignState.SENDING
    assert ledger.balance(account_id).reserved_micros == 2_400_000
    assert scheduler.started_count == 1
    [(owner_id, reservation)] = ledger.open_reservations.values()
    assert (owner_id, reservation.campaign_id) == (account_id, ref.campaign_id)
    ends_at = desk.clock.now() + timedelta(days=1)
    assert reservation.expires_at == ends_at + timedelta(days=7)


async def test_start_due_reserves_nothing_for_a_test(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = desk.schedule(3, account_id=account_id, mode="test")

    await scheduler.start_due()

    assert desk.campaign(ref).state is CampaignState.SENDING
    assert ledger.balance(account_id).reserved_micros == 0


async def test_start_due_sends_back_what_cannot_be_paid(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = desk.schedule(13, account_id=account_id)

    await scheduler.start_due()

    assert _sent_back(ledger, ref).code == "insufficient_credits"
    assert ledger.balance(account_id).reserved_micros == 0
    assert scheduler.sent_back_count == 1


async def test_start_due_sends_back_what_is_beyond_the_spending_cap(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger
) -> None:
    agent_id, customer_id = desk.open_customer()
    ledger.decide(SetSpendingCap(customer_id, agent_id, 1_000_000, desk.cause()))
    ref = desk.schedule(2, account_id=customer_id, payer_id=agent_id)

    await scheduler.start_due()

    assert _sent_back(ledger, ref).code == "spending_cap_reached"


async def test_start_due_reserves_the_agents_cost_for_its_customer(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger
) -> None:
    agent_id, customer_id = desk.open_customer()
    desk.schedule(2, account_id=customer_id, payer_id=agent_id, totals={"price_micros": 2_000_000})

    await scheduler.start_due()

    assert ledger.balance(agent_id).reserved_micros == 1_600_000
    assert list(ledger.spent.values()) == [2_000_000]


async def test_start_due_sends_back_what_has_lost_its_sender_id(
    desk: Any,
    scheduler: Scheduler,
    campaigns: MemoryCampaigns,
    ledger: MemoryLedger,
    account_id: UUID,
) -> None:
    ref = desk.schedule(2, account_id=account_id)
    campaigns.withdrawn_senders.add(desk.campaign(ref).plan.sender)

    await scheduler.start_due()

    assert _sent_back(ledger, ref).code == "unknown_sender"
    assert ledger.balance(account_id).reserved_micros == 0


async def test_start_due_sends_back_what_nobody_would_get(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = desk.schedule(0, account_id=account_id)

    await scheduler.start_due()

    assert _sent_back(ledger, ref).code == "campaign_has_no_recipients"


async def test_start_due_sends_back_what_is_worth_nothing_any_more(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID, clock: MemoryClock
) -> None:
    ref = desk.schedule(1, account_id=account_id, validity_seconds=3_600)
    clock.advance(seconds=3_600)

    await scheduler.start_due()

    assert _sent_back(ledger, ref).code == "campaign_validity_passed"
    assert ledger.balance(account_id).reserved_micros == 0


async def test_start_due_starts_the_others_when_one_cannot_be_decided(
    desk: Any, scheduler: Scheduler, account_id: UUID
) -> None:
    stuck = desk.schedule(1, account_id=UUID(int=404))
    other = desk.schedule(1, account_id=account_id)

    await scheduler.start_due()

    assert desk.campaign(stuck).state is CampaignState.SCHEDULED
    assert desk.campaign(other).state is CampaignState.SENDING
    assert (scheduler.stuck_count, scheduler.started_count) == (1, 1)


async def test_start_due_catches_up_while_it_is_worth_it(
    desk: Any, scheduler: Scheduler, account_id: UUID, clock: MemoryClock
) -> None:
    ref = desk.schedule(1, account_id=account_id, validity_seconds=3_600)
    clock.advance(seconds=3_599)

    await scheduler.start_due()

    assert desk.campaign(ref).state is CampaignState.SENDING


async def test_start_due_sleeps_until_the_next_and_half_a_minute_at_most(
    desk: Any, scheduler: Scheduler, account_id: UUID
) -> None:
    before = await scheduler.start_due()
    desk.schedule(1, account_id=account_id, start_in=timedelta(hours=1))
    far = await scheduler.start_due()
    desk.schedule(1, account_id=account_id, start_in=timedelta(seconds=7))
    near = await scheduler.start_due()

    assert (before, far, near) == (30.0, 30.0, 7.0)


async def test_start_due_goes_on_at_once_when_more_may_be_due(
    desk: Any, scheduler: Scheduler, account_id: UUID
) -> None:
    for _ in range(CLAIMS_MAX + 1):
        desk.schedule(0, account_id=account_id)

    first, second = await scheduler.start_due(), await scheduler.start_due()

    assert (first, second) == (0.0, 30.0)


async def test_start_due_is_tried_again_after_the_claim_of_whoever_failed(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID, clock: MemoryClock
) -> None:
    ref = desk.schedule(1, account_id=account_id)
    ledger.is_available = False
    with pytest.raises(LedgerUnavailable):
        await scheduler.start_due()
    ledger.is_available = True

    waits = await scheduler.start_due()
    clock.advance(seconds=CLAIM_SECONDS)
    await scheduler.start_due()

    assert waits == CLAIM_SECONDS
    assert desk.campaign(ref).state is CampaignState.SENDING


async def test_start_campaign_does_nothing_before_its_time_or_without_a_campaign(
    desk: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    early = desk.schedule(1, account_id=account_id, start_in=timedelta(seconds=1))
    paused = desk.schedule(1, account_id=account_id)
    await scheduler.start_due()
    desk.move(paused, "pause", "wait")

    outcomes = [
        ledger.decide(StartCampaign(ref, desk.cause())).value for ref in (early, paused, NOBODY)
    ]

    assert outcomes == ["", "", ""]


async def test_start_due_says_nothing_of_what_was_cancelled_after_the_claim(
    desk: Any, campaigns: Any, scheduler: Scheduler, ledger: MemoryLedger, account_id: UUID
) -> None:
    ref = desk.schedule(1, account_id=account_id)
    due = await campaigns.claim_due(1, 0.0)
    desk.move(ref, "cancel", "mistake")

    class Stale:
        async def claim_due(self, limit: int, seconds: float) -> Any:
            return due

        async def seconds_until_next(self) -> None:
            return None

    stale = Scheduler(Stale(), ledger, new_request_id=lambda: "job_1")  # type: ignore[arg-type]
    await stale.start_due()

    assert (stale.started_count, stale.sent_back_count) == (0, 0)
