"""What any runner of recoveries works with promises: in memory and on PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from tests.contract.delivery_worlds import WORLDS, World, cause, now

from semalink.application.delivery_reading import RecoveryView
from semalink.application.webhook_recovery import ResendDelivery, SendAgain, Step


@pytest.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    # Only what needs a database waits for one.
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    async with WORLDS[request.param](url) as made:
        yield made


async def turns(world: World, recovery_id: UUID) -> RecoveryView:
    for _ in range(1_000):
        await world.turn()
        view = await world.view(recovery_id)
        if view.is_matched and view.sent_count + view.skipped_count == view.matched_count:
            return view
    raise AssertionError(view)


async def test_recovery_sends_what_failed_and_nothing_else(world: World) -> None:
    failed = [await world.failed() for _ in range(4)]
    delivered = await world.deliver(await world.happen())
    await world.attempt(delivered, status=204)
    await world.happen()

    recovery_id = await world.recover()
    view = await turns(world, recovery_id)
    for delivery_id in failed:
        await world.attempt(delivery_id, status=204)
    await world.turn()

    ended = await world.view(recovery_id)
    assert (view.state, view.matched_count, view.sent_count) == ("running", 4, 4)
    assert (ended.state, ended.delivered_count, ended.failed_count) == ("completed", 4, 0)
    assert ended.ended_at is not None
    assert await world.states() == ["delivered"] * 5


async def test_recovery_hurries_what_waits_for_another_attempt(world: World) -> None:
    failing = await world.deliver(await world.happen())
    await world.attempt(failing, status=503, next_at=now() + timedelta(hours=3))
    untried = await world.deliver(await world.happen())

    view = await turns(world, await world.recover())

    hurried = await world.reads.delivery(failing, None)
    waiting = await world.reads.delivery(untried, None)
    assert (view.matched_count, view.sent_count) == (1, 1)
    assert hurried is not None
    assert waiting is not None
    assert (hurried.trigger, hurried.state, hurried.attempts_made) == ("recovery", "waiting", 1)
    assert hurried.next_attempt_at is not None
    assert hurried.next_attempt_at <= now()
    assert waiting.trigger == "auto"


async def test_recovery_sends_what_never_was_sent_when_asked_for_what_is_missing(
    world: World,
) -> None:
    await world.failed()
    missing = await world.happen("message.submitted")
    await world.happen("credit.charged")

    recovery_id = await world.recover("missing", event_types=("message.*",))
    view = await turns(world, recovery_id)

    shown = await world.reads.delivery(world.delivery_id(missing), world.account_id)
    assert view.matched_count == view.sent_count == 1
    assert shown is not None
    assert (shown.trigger, shown.recovery_id) == ("recovery", view.id)
    assert shown.message_id is not None


async def test_recovery_sends_each_event_once_whoever_carries_it_on(world: World) -> None:
    delivery_id = await world.failed()
    recovery_id = await world.recover()
    await turns(world, recovery_id)
    await world.attempt(delivery_id, status=503)

    for _ in range(3):
        await world.turn()

    ended = await world.view(recovery_id)
    shown = await world.reads.delivery(delivery_id, world.account_id)
    assert (ended.state, ended.failed_count) == ("completed", 1)
    assert shown is not None
    assert (shown.attempts_made, shown.state) == (2, "failed")


async def test_recovery_runs_no_further_ahead_of_the_endpoint_than_two_seconds(
    world: World,
) -> None:
    failed = [await world.failed() for _ in range(4)]
    recovery_id = await world.recover(rate_per_second=1)
    [job] = await world.book.under_way()
    for _ in range(2):
        await world.book.match(job)
    for item in await world.book.due(recovery_id, 9):
        await world.ledger.execute(SendAgain(recovery_id, world.endpoint_id, item, cause()))

    full = await world.book.due(recovery_id, 9)
    await world.attempt(failed[0], status=204)
    freed = await world.book.due(recovery_id, 9)

    assert full == []
    assert [item.delivery_id for item in freed] == [failed[2]]


async def test_recovery_that_is_paused_sends_nothing_until_it_is_resumed(world: World) -> None:
    await world.failed()
    recovery_id = await world.recover()
    await world.move(recovery_id, Step.PAUSE)

    sent = [await world.turn() for _ in range(3)]
    paused = await world.view(recovery_id)
    await world.move(recovery_id, Step.RESUME)
    resumed = await turns(world, recovery_id)

    assert sent == [0, 0, 0]
    assert (paused.state, paused.sent_count) == ("paused", 0)
    assert resumed.sent_count == 1


async def test_recovery_that_is_cancelled_still_counts_what_it_sent(world: World) -> None:
    delivery_id = await world.failed()
    recovery_id = await world.recover()
    await turns(world, recovery_id)

    await world.move(recovery_id, Step.CANCEL)
    await world.attempt(delivery_id, status=204)
    await world.turn()

    view = await world.view(recovery_id)
    assert (view.state, view.delivered_count) == ("cancelled", 1)
    assert not await world.book.under_way()


async def test_recovery_that_is_paused_is_given_no_turn_and_still_counts(world: World) -> None:
    delivery_id = await world.failed()
    recovery_id = await world.recover()
    await turns(world, recovery_id)

    waiting = await world.book.under_way()
    await world.move(recovery_id, Step.PAUSE)
    await world.attempt(delivery_id, status=503)
    paused = await world.book.under_way()
    counted = await world.view(recovery_id)
    await world.move(recovery_id, Step.RESUME)

    assert (waiting, paused) == ([], [])
    assert (counted.state, counted.failed_count) == ("paused", 1)
    assert [job.recovery_id for job in await world.book.under_way()] == [recovery_id]


async def test_recovery_counts_what_somebody_else_began_again(world: World) -> None:
    delivery_id = await world.failed()
    recovery_id = await world.recover()
    await turns(world, recovery_id)
    await world.attempt(delivery_id, status=503, next_at=now() + timedelta(hours=3))
    by_hand = ResendDelivery(delivery_id, world.endpoint_id, world.account_id, cause())

    await world.ledger.execute(by_hand)
    await world.attempt(delivery_id, status=204)

    counted = await world.view(recovery_id)
    assert (counted.sent_count, counted.delivered_count) == (1, 1)


async def test_recovery_skips_what_somebody_sent_meanwhile(world: World) -> None:
    first, second = await world.failed(), await world.failed()
    recovery_id = await world.recover(rate_per_second=1)
    [job] = await world.book.under_way()
    for _ in range(2):
        await world.book.match(job)
    for delivery_id in (first, second):
        await world.ledger.execute(
            ResendDelivery(delivery_id, world.endpoint_id, world.account_id, cause())
        )
    items = await world.book.due(recovery_id, 9)

    await world.book.skip(recovery_id, [one.delivery_id for one in items])
    counts = await world.book.counts(recovery_id)

    assert [one.delivery_id for one in items] == [first, second]
    assert (counts.matched, counts.skipped, counts.is_done) == (2, 2, True)


async def test_turns_of_all_runners_keep_the_rate(world: World) -> None:
    await world.failed()
    recovery_id = await world.recover(rate_per_second=1)

    first = await world.book.take_turn(recovery_id, 60_000)
    second = await world.book.take_turn(recovery_id, 60_000)

    assert second is None
    assert first is None or first >= 1_000


async def test_recoveries_of_an_endpoint_are_listed_newest_first(world: World) -> None:
    older, newer = await world.recover(), await world.recover()

    async def listed(account_id: UUID | None, before: UUID | None = None) -> list[str]:
        found = await world.reads.recoveries(world.endpoint_id, account_id, before=before, limit=9)
        return [one.id for one in found]

    assert await listed(world.account_id) == [f"rcv_{newer.hex}", f"rcv_{older.hex}"]
    assert await listed(None, newer) == [f"rcv_{older.hex}"]
    assert await listed(UUID(int=1)) == []
    assert await world.reads.recoveries_under_way(world.endpoint_id) == 2
    assert await world.reads.recoveries_under_way(UUID(int=1)) == 0
    assert await world.reads.recovery(older, UUID(int=1)) is None
    assert await world.reads.recovery(UUID(int=1), None) is None
