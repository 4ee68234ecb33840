"""Dealing out: in turns, at the pace that was asked for, and never more than workers need."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.unit.application.campaigns.bulk_broker import Broker

from semalink.application.dealing import Dealer, Sending
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_clock import MemoryClock


async def test_step_deals_out_bundles_of_a_hundred(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns
) -> None:
    ref = await start_one(250)

    dealt = await dealer.step()

    assert [len(each.message_ids) for each in broker.bundles] == [100, 100, 50]
    assert {each.campaign_id for each in broker.bundles} == {ref.campaign_id}
    assert set(campaigns.states(ref.campaign_id)) == {"queued"}
    assert (dealt, dealer.dealt_count, dealer.sleep_seconds) == (250, 250, 0.05)


async def test_step_looks_again_soon_while_there_is_nothing_more(
    start_one: Any, dealer: Dealer
) -> None:
    await start_one(1)
    await dealer.step()

    dealt = await dealer.step()

    assert (dealt, dealer.sleep_seconds, dealer.is_busy) == (0, 0.25, True)


async def test_step_sleeps_long_when_no_campaign_sends(dealer: Dealer) -> None:
    dealt = await dealer.step()

    assert (dealt, dealer.sleep_seconds, dealer.is_busy) == (0, 30.0, False)


async def test_step_deals_out_no_more_than_workers_need(
    start_one: Any, new_dealer: Callable[..., Dealer], broker: Broker
) -> None:
    await start_one(500)
    dealer = new_dealer(outstanding_max=3)

    first, second = await dealer.step(), await dealer.step()
    broker.outstanding = 2
    third = await dealer.step()

    assert (first, second, third) == (300, 0, 100)


async def test_step_serves_accounts_in_turns_and_campaigns_within_each(
    start_one: Any, new_dealer: Callable[..., Dealer], broker: Broker, account_id: UUID
) -> None:
    other_id = UUID(int=0x07E4)
    first, second = await start_one(300), await start_one(300)
    third = await start_one(300, other_id)
    dealer = new_dealer(outstanding_max=1)
    broker.outstanding = 0

    for _ in range(6):
        await dealer.step()

    served = [each.campaign_id for each in broker.bundles]
    assert served.count(third.campaign_id) == 3
    assert {served.count(each.campaign_id) for each in (first, second)} == {1, 2}


async def test_step_gives_the_room_that_one_does_not_need_to_the_others(
    start_one: Any, new_dealer: Callable[..., Dealer], broker: Broker
) -> None:
    slow, fast = await start_one(300, rate_per_second=1), await start_one(300)

    await new_dealer(outstanding_max=4).step()

    counts = {ref.campaign_id: 0 for ref in (slow, fast)}
    for each in broker.bundles:
        counts[each.campaign_id] += len(each.message_ids)
    assert counts == {slow.campaign_id: 1, fast.campaign_id: 300}


async def test_step_keeps_to_the_rate(start_one: Any, dealer: Dealer, clock: MemoryClock) -> None:
    await start_one(100, rate_per_second=10)

    dealt = [await dealer.step(), await dealer.step()]
    for seconds in (0.5, 0.5, 60):
        clock.advance(seconds=seconds)
        dealt.append(await dealer.step())

    assert dealt == [1, 0, 5, 5, 10]


async def test_step_keeps_the_pace_with_which_the_last_leaves_in_time(
    start_one: Any, dealer: Dealer, clock: MemoryClock
) -> None:
    await start_one(300, finish_by=clock.now() + timedelta(seconds=30))

    first = await dealer.step()
    clock.advance(seconds=1)
    second = await dealer.step()
    clock.advance(seconds=60)
    late = await dealer.step()

    assert (first, second, late) == (1, 10, 289)


async def test_step_waits_for_the_hours_of_every_country(
    campaigns: MemoryCampaigns,
    start_one: Any,
    new_dealer: Callable[..., Dealer],
    clock: MemoryClock,
) -> None:
    ref = await start_one(5)
    opens = {"KE": clock.now() + timedelta(seconds=10), "UG": clock.now() + timedelta(seconds=20)}
    dealer = new_dealer(opens_at=lambda now, country: max(now, opens[country]))
    campaigns.sending = _promotional(campaigns, "KE", "UG")  # type: ignore[method-assign]

    closed, sleeps = await dealer.step(), dealer.sleep_seconds
    clock.advance(seconds=20)
    opened = await dealer.step()

    assert (closed, sleeps, opened) == (0, 20.0, 5)
    assert campaigns.states(ref.campaign_id) == ["queued"] * 5


async def test_step_never_deals_out_while_hours_do_not_meet(
    campaigns: MemoryCampaigns,
    start_one: Any,
    new_dealer: Callable[..., Dealer],
) -> None:
    await start_one(1)
    dealer = new_dealer(opens_at=lambda now, _: now + timedelta(hours=1))
    campaigns.sending = _promotional(campaigns, "KE")  # type: ignore[method-assign]

    dealt = await dealer.step()

    assert (dealt, dealer.sleep_seconds) == (0, 30.0)


async def test_step_counts_what_is_left_now_and_then(
    start_one: Any, dealer: Dealer, broker: Broker, campaigns: MemoryCampaigns, clock: MemoryClock
) -> None:
    broker.outstanding = 0
    await start_one(1_000, finish_by=clock.now() + timedelta(seconds=100))
    count_left, counted_at = campaigns.count_left, []

    async def counted(campaign_id: UUID) -> int:
        counted_at.append(clock.now())
        return await count_left(campaign_id)

    campaigns.count_left = counted  # type: ignore[method-assign]

    for _ in range(100):
        await dealer.step()
        clock.advance(seconds=0.1)

    assert len(counted_at) == 2
    assert 98 <= dealer.dealt_count <= 101


async def test_step_deals_out_nothing_of_a_paused_campaign_until_it_is_resumed(
    desk: Any, start_one: Any, dealer: Dealer
) -> None:
    ref = await start_one(5)
    desk.move(ref, "pause", "wait")
    paused = await dealer.step()
    desk.move(ref, "resume")

    resumed = await dealer.step()

    assert (paused, resumed) == (0, 5)


async def test_step_tells_how_long_a_campaign_found_no_room(
    start_one: Any, dealer: Dealer, broker: Broker, clock: MemoryClock
) -> None:
    await start_one(1)
    broker.outstanding = 40
    told = []
    for _ in range(2):
        await dealer.step()
        told.append(dealer.blocked_seconds)
        clock.advance(seconds=60)
    broker.outstanding = 0
    await dealer.step()

    assert (told, dealer.blocked_seconds) == ([0.0, 60.0], 0.0)


async def test_step_forgets_who_was_blocked_when_nothing_sends_any_more(
    desk: Any, start_one: Any, dealer: Dealer, broker: Broker, clock: MemoryClock
) -> None:
    ref = await start_one(1)
    broker.refuses = True
    await dealer.step()
    clock.advance(seconds=60)
    await dealer.step()
    blocked_seconds = dealer.blocked_seconds
    desk.move(ref, "pause", "wait")

    await dealer.step()

    assert (blocked_seconds, dealer.blocked_seconds) == (60.0, 0.0)


def _promotional(campaigns: MemoryCampaigns, *countries: str) -> Callable[[], Any]:
    found = campaigns.sending

    async def sending() -> Sequence[Sending]:
        return [replace(each, countries=countries) for each in await found()]

    return sending
