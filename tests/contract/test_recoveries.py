"""What sends again and what shows it promise: the same on those in memory and on PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.delivery_reading import DeliveryFilter, DeliveryReads, RecoveryView
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.recovering import RecoveryBook, RecoveryRunner
from semalink.application.webhook_recovery import (
    MoveRecovery,
    ResendDelivery,
    SendTest,
    StartRecovery,
    Step,
)
from semalink.domain.cause import Cause
from semalink.domain.recovery import RecoveryMode, Wanted
from semalink.domain.webhook_delivery import (
    Attempt,
    GivenUp,
    Subject,
    WebhookDelivery,
    delivery_id_of,
)
from semalink.domain.webhook_endpoint import EndpointTerms, WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_recoveries import FedEvent, MemoryRecoveries
from semalink_adapters.postgres.delivery_reads import PostgresDeliveryReads
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.recoveries import PostgresRecoveries

INSERT_FED = """
INSERT INTO account_events (account_id, sequence, event_id, name, occurred_at, payload)
VALUES (%s, %s, %s, %s, %s, %s)"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_numbers = count(1)


def now() -> datetime:
    return datetime.now(UTC)


def cause() -> Cause:
    return Cause("key:contract", now(), f"req_{next(_numbers)}")


@dataclass(frozen=True)
class Make(PlainCommand):
    """Does to a delivery or an endpoint what others do."""

    change: Callable[[Books], None]
    delivery_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.deliveries.add(self.delivery_id)

    def decide(self, books: Books) -> None:
        self.change(books)


@dataclass
class World:
    """An account with an endpoint, and the feed that it is told of."""

    ledger: Ledger
    reads: DeliveryReads
    book: RecoveryBook
    feed: Callable[[UUID, FedEvent], Awaitable[None]]
    #: Let time go by between turns.
    rest: Callable[[], None]
    account_id: UUID
    endpoint_id: UUID
    sequence: int = 0

    async def happen(self, name: str = "message.delivered") -> FedEvent:
        self.sequence += 1
        message_id = uuid7()
        payload = f'{{"sequence":{self.sequence}}}'.encode()
        # Ids have milliseconds, by which deliveries are ordered.
        at = now() - timedelta(minutes=1) + timedelta(milliseconds=self.sequence)
        event = FedEvent(self.sequence, f"evt_{message_id.hex}_3", name, at, payload, message_id)
        await self.feed(self.account_id, event)
        return event

    def delivery_id(self, event: FedEvent) -> UUID:
        at_ms = (event.occurred_at - EPOCH) // timedelta(milliseconds=1)
        return delivery_id_of(event.event_id, at_ms, self.endpoint_id)

    async def make(self, change: Callable[[Books], None], delivery_id: UUID) -> None:
        await self.ledger.execute(Make(change, delivery_id, cause()))

    async def deliver(self, event: FedEvent) -> UUID:
        subject = Subject(
            self.endpoint_id,
            self.account_id,
            event.event_id,
            event.name,
            event.sequence,
            event.message_id,
        )
        delivery_id = self.delivery_id(event)
        made = WebhookDelivery.create(delivery_id, subject, cause())
        await self.make(lambda books: books.add(made), delivery_id)
        return delivery_id

    async def attempt(self, delivery_id: UUID, *, status: int) -> None:
        def record(books: Books) -> None:
            delivery = books.delivery(delivery_id)
            is_taken = status == 204
            attempt = Attempt(
                attempt_no=delivery.attempt_no + 1,
                outcome="delivered" if is_taken else "failed",
                url="https://shop.example.com/hooks",
                status=status,
                error_class=None if is_taken else "status",
                duration_ms=12,
                secret_ids=[UUID(int=7)],
                response_headers={"content-type": "text/plain"},
                response_body="" if is_taken else "busy",
            )
            given_up = None if is_taken else GivenUp.EXHAUSTED
            assert delivery.record(attempt, cause(), given_up=given_up)

        await self.make(record, delivery_id)

    async def failed(self, name: str = "message.delivered") -> UUID:
        delivery_id = await self.deliver(await self.happen(name))
        await self.attempt(delivery_id, status=503)
        return delivery_id

    async def recover(self, mode: str = "failed", **changes: Any) -> UUID:
        facts = {"event_types": ("*",), "rate_per_second": 100, **changes}
        wanted = Wanted(
            self.endpoint_id,
            RecoveryMode(mode),
            since=now() - timedelta(hours=1),
            until=now() + timedelta(seconds=1),
            **facts,
        )
        command = StartRecovery(uuid7(), self.account_id, wanted, cause())
        return (await self.ledger.execute(command)).value

    async def move(self, recovery_id: UUID, step: Step) -> None:
        command = MoveRecovery(recovery_id, self.endpoint_id, self.account_id, step, cause())
        await self.ledger.execute(command)

    async def turn(self) -> int:
        runner = RecoveryRunner(self.ledger, self.book, now=now, new_request_id=lambda: "job_1")
        self.rest()
        return await runner.step()

    async def view(self, recovery_id: UUID) -> RecoveryView:
        view = await self.reads.recovery(recovery_id, self.account_id)
        assert view is not None
        return view

    async def states(self) -> list[str]:
        found = await self.reads.deliveries(DeliveryFilter(self.account_id), before=None, limit=100)
        return [one.state for one in reversed(found)]


def registered(account_id: UUID) -> WebhookEndpoint:
    terms = EndpointTerms("https://shop.example.com/hooks", ("*",))
    return WebhookEndpoint.register(uuid7(), account_id, terms, cause())


@pytest.fixture
async def memory() -> World:
    ledger = MemoryLedger()
    tables = MemoryRecoveries(ledger)
    account_id = uuid7()
    endpoint = registered(account_id)

    async def feed(account: UUID, event: FedEvent) -> None:
        tables.feeds.setdefault(account, []).append(event)

    def rest() -> None:
        tables.now += timedelta(seconds=1)

    world = World(ledger, tables, tables, feed, rest, account_id, endpoint.id)
    await world.make(lambda books: books.add(endpoint), endpoint.id)
    return world


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[World]:
    account_id = uuid7()
    endpoint = registered(account_id)
    async with open_pool(database_url) as pool, GroupCommit(database_url) as ledger:
        await pool.wait()

        async def feed(account: UUID, event: FedEvent) -> None:
            row = (
                account, event.sequence, event.event_id, event.name, event.occurred_at,
                event.payload,
            )  # fmt: skip
            async with pool.connection() as connection:
                await connection.execute(INSERT_FED, row)

        book = PostgresRecoveries(pool, match_page=3)
        reads = PostgresDeliveryReads(pool)
        world = World(ledger, reads, book, feed, lambda: None, account_id, endpoint.id)
        await world.make(lambda books: books.add(endpoint), endpoint.id)
        yield world


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


async def turns(world: World, recovery_id: UUID) -> RecoveryView:
    for _ in range(1_000):
        await world.turn()
        view = await world.view(recovery_id)
        if view.is_matched and view.sent_count + view.skipped_count == view.matched_count:
            return view
    raise AssertionError(view)


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
    counts = await world.book.settle(recovery_id)

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
    assert await world.reads.recovery(older, UUID(int=1)) is None
    assert await world.reads.recovery(UUID(int=1), None) is None
