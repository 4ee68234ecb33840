"""Dealing out again: what was refused, held again or lost on its way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.unit.application.campaigns.bulk_broker import Broker

from semalink.application.bundles import BundlePayload
from semalink.application.dealing import Dealer
from semalink.application.outbox import StreamMark
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock

MADE_AT = datetime(2026, 11, 1, tzinfo=UTC)


async def test_step_marks_nothing_that_the_broker_did_not_take(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    ref = await start_one(5, rate_per_second=5)
    broker.refuses = True

    dealt = await dealer.step()

    assert dealt == 0
    assert campaigns.states(ref.campaign_id) == ["held"] * 5


async def test_step_leaves_held_what_a_worker_held_again_at_once(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    ref = await start_one(150)

    async def hold(bundles: Sequence[BundlePayload]) -> None:
        await campaigns.hold(bundles[0].message_ids)

    broker.on_bundles = hold

    await dealer.step()

    assert campaigns.states(ref.campaign_id) == ["held"] * 100 + ["queued"] * 50


async def test_step_publishes_only_what_still_waits_when_it_is_marked(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    await start_one(101)
    find = campaigns.held

    async def held(campaign_id: UUID, limit: int) -> Sequence[UUID]:
        found = await find(campaign_id, limit)
        await campaigns.park([found[0], found[-1]])
        return found

    campaigns.held = held  # type: ignore[method-assign]

    dealt = await dealer.step()

    assert [len(each.message_ids) for each in broker.bundles] == [99]
    assert dealt == 99


async def test_step_publishes_nothing_when_nothing_waits_any_more(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    await start_one(1)
    find = campaigns.held

    async def held(campaign_id: UUID, limit: int) -> Sequence[UUID]:
        found = await find(campaign_id, limit)
        await campaigns.park(found)
        return found

    campaigns.held = held  # type: ignore[method-assign]

    dealt = await dealer.step()

    assert (dealt, broker.bundles) == (0, [])


async def test_step_never_gives_two_bundles_one_id(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    await start_one(1)
    await dealer.step()
    await campaigns.hold(broker.bundles[0].message_ids)

    await dealer.step()

    assert broker.bundles[0] == broker.bundles[1]
    assert len(set(broker.message_ids)) == 2


async def test_repair_deals_out_again_what_the_broker_lost(
    start_one: Any, dealer: Dealer, campaigns: MemoryCampaigns
) -> None:
    ref = await start_one(2)
    await dealer.step()
    mark = StreamMark("SMS_BULK", MADE_AT, 1, 1, 1)
    await dealer.repair(mark)
    before = campaigns.states(ref.campaign_id)

    await dealer.repair(replace(mark, created_at=MADE_AT + timedelta(days=1)))

    assert (before, campaigns.states(ref.campaign_id)) == (["queued"] * 2, ["held"] * 2)


async def test_repair_parks_what_vanishes_each_time(
    start_one: Any, dealer: Dealer, campaigns: MemoryCampaigns, clock: MemoryClock
) -> None:
    ref = await start_one(1)
    states = []
    for _ in range(4):
        await dealer.step()
        clock.advance(seconds=31)
        await dealer.repair(StreamMark("SMS_BULK", MADE_AT, 1, 0, 0))
        states += campaigns.states(ref.campaign_id)

    assert states == ["held", "held", "held", "parked"]


async def test_repair_deals_out_again_what_a_busy_queue_never_brought(
    start_one: Any, dealer: Dealer, campaigns: MemoryCampaigns, clock: MemoryClock
) -> None:
    ref = await start_one(1)
    states = []
    for seconds in (60, 300, 300, 300, 300):
        await dealer.step()
        clock.advance(seconds=seconds)
        await dealer.repair(StreamMark("SMS_BULK", MADE_AT, 9, 5, 5))
        states += campaigns.states(ref.campaign_id)

    assert states == ["queued", "held", "held", "held", "held"]
