"""What reads of deliveries promise: the same on those in memory and on PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.contract.delivery_worlds import WORLDS, World, cause, now
from uuid_utils.compat import uuid7

from semalink.application.delivery_reading import DeliveryFilter
from semalink.application.webhook_recovery import ResendDelivery, SendTest


@pytest.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    # Only what needs a database waits for one.
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    async with WORLDS[request.param](url) as made:
        yield made


async def test_list_shows_the_newest_event_first_and_goes_on_behind_an_id(world: World) -> None:
    first, second, third = [await world.failed() for _ in range(3)]
    wanted = DeliveryFilter(world.account_id)

    newest = await world.reads.deliveries(wanted, before=None, limit=2)
    rest = await world.reads.deliveries(wanted, before=second, limit=2)

    assert [one.id for one in newest] == [f"whk_{third.hex}", f"whk_{second.hex}"]
    assert [one.id for one in rest] == [f"whk_{first.hex}"]


async def test_list_shows_what_fits_every_filter(world: World) -> None:
    event = await world.happen("message.submitted")
    wanted = await world.deliver(event)
    await world.failed("message.delivered")
    mine = world.account_id

    async def found(**by: Any) -> list[str]:
        filters = DeliveryFilter(**{"account_id": mine, **by})
        return [one.id for one in await world.reads.deliveries(filters, before=None, limit=9)]

    assert await found(state="waiting") == [f"whk_{wanted.hex}"]
    assert await found(event_type="message.submitted") == [f"whk_{wanted.hex}"]
    assert await found(message_id=event.message_id) == [f"whk_{wanted.hex}"]
    assert len(await found(event_type="message.*", endpoint_id=world.endpoint_id)) == 2
    assert len(await found(created_from=now() - timedelta(hours=1), account_id=None)) == 2
    assert await found(created_before=now() - timedelta(hours=1)) == []
    assert await found(endpoint_id=UUID(int=1)) == []
    assert await found(account_id=UUID(int=1)) == []


async def test_delivery_shows_its_payload_and_every_attempt(world: World) -> None:
    delivery_id = await world.failed()

    shown = await world.reads.delivery(delivery_id, world.account_id)

    assert shown is not None
    assert (shown.state, shown.given_up, shown.last_status) == ("failed", "exhausted", 503)
    assert shown.payload == '{"sequence":1}'
    [attempt] = shown.attempts
    assert (attempt.attempt, attempt.status, attempt.error_class) == (1, 503, "status")
    assert (attempt.duration_ms, attempt.response_body) == (12, "busy")
    assert attempt.secret_ids == [f"whs_{7:032x}"]


async def test_delivery_of_another_account_is_not_there(world: World) -> None:
    delivery_id = await world.failed()

    assert await world.reads.delivery(delivery_id, UUID(int=1)) is None
    assert await world.reads.delivery(UUID(int=1), world.account_id) is None
    assert await world.reads.delivery(delivery_id, None) is not None


async def test_resend_opens_a_delivery_again_and_keeps_its_attempts(world: World) -> None:
    delivery_id = await world.failed()

    await world.ledger.execute(
        ResendDelivery(delivery_id, world.endpoint_id, world.account_id, cause())
    )
    await world.attempt(delivery_id, status=204)

    shown = await world.reads.delivery(delivery_id, world.account_id)
    assert shown is not None
    assert (shown.state, shown.given_up) == ("delivered", None)
    assert [one.trigger for one in shown.attempts] == ["auto", "manual"]


async def test_test_event_is_a_delivery_with_a_payload_of_its_own(world: World) -> None:
    delivery_id = uuid7()

    await world.ledger.execute(SendTest(delivery_id, world.endpoint_id, world.account_id, cause()))

    shown = await world.reads.delivery(delivery_id, world.account_id)
    assert shown is not None
    assert (shown.event_type, shown.trigger, shown.state) == ("webhook.test", "test", "waiting")
    assert shown.payload is not None
    assert '"type":"webhook.test"' in shown.payload


async def test_health_counts_what_was_taken_and_what_waits(world: World) -> None:
    await world.attempt(await world.deliver(await world.happen()), status=204)
    await world.failed()
    waiting = await world.deliver(await world.happen())

    health = await world.reads.health(world.endpoint_id, world.account_id)

    detail = await world.reads.delivery(waiting, world.account_id)
    assert health is not None
    assert detail is not None
    assert (health.state, health.breaker, health.open_until) == ("enabled", "closed", None)
    assert (health.success_count, health.failure_count, health.consecutive_failures) == (1, 1, 1)
    assert (health.waiting_count, health.held_count, health.last_latency_ms) == (1, 0, 12)
    assert health.next_attempt_at == detail.next_attempt_at
    assert health.last_success_at is not None
    assert health.failing_since == health.last_failure_at


async def test_health_counts_what_is_held_while_the_endpoint_is_paused(world: World) -> None:
    delivery_id = await world.deliver(await world.happen())
    await world.pause()

    health = await world.reads.health(world.endpoint_id, None)
    detail = await world.reads.delivery(delivery_id, None)

    assert health is not None
    assert detail is not None
    assert (health.state, health.waiting_count, health.held_count) == ("paused", 1, 1)
    assert detail.is_held


async def test_health_of_nobodys_endpoint_is_not_there(world: World) -> None:
    assert await world.reads.health(world.endpoint_id, UUID(int=1)) is None
    assert await world.reads.health(UUID(int=1), None) is None
