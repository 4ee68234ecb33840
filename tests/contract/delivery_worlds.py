"""An account with an endpoint and a feed: in memory, and on PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from semalink.application.delivery_reading import DeliveryFilter, DeliveryReads, RecoveryView
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.recovering import RecoveryBook, RecoveryRunner
from semalink.application.webhook_recovery import (
    MoveRecovery,
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
#: A second goes by for every recovery.
REST = "UPDATE recoveries SET turn_at = turn_at - interval '1 second'"
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
        needs.settings.add(self.delivery_id)

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
    rest: Callable[[], Awaitable[None]]
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
        return delivery_id_of(event.event_id, event.occurred_at, self.endpoint_id)

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

    async def attempt(
        self, delivery_id: UUID, *, status: int, next_at: datetime | None = None
    ) -> None:
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
            ends = is_taken or next_at is not None
            given_up = None if ends else GivenUp.EXHAUSTED
            assert delivery.record(attempt, cause(), next_attempt_at=next_at, given_up=given_up)

        await self.make(record, delivery_id)

    async def failed(self, name: str = "message.delivered") -> UUID:
        delivery_id = await self.deliver(await self.happen(name))
        await self.attempt(delivery_id, status=503)
        return delivery_id

    async def pause(self) -> None:
        def by(books: Books) -> None:
            endpoint = books.find(WebhookEndpoint, self.endpoint_id)
            assert endpoint is not None
            endpoint.pause("mending", cause())

        await self.make(by, self.endpoint_id)

    async def recover(self, mode: str = "failed", **changes: Any) -> UUID:
        facts = {
            "event_types": ("*",),
            "rate_per_second": 100,
            "since": now() - timedelta(hours=1),
            "until": now() + timedelta(seconds=1),
            **changes,
        }
        wanted = Wanted(
            self.endpoint_id,
            RecoveryMode(mode),
            **facts,
        )
        command = StartRecovery(uuid7(), self.account_id, wanted, cause())
        return (await self.ledger.execute(command)).value

    async def move(self, recovery_id: UUID, step: Step) -> None:
        command = MoveRecovery(recovery_id, self.endpoint_id, self.account_id, step, cause())
        await self.ledger.execute(command)

    async def turn(self) -> int:
        runner = RecoveryRunner(self.ledger, self.book, now=now, new_request_id=lambda: "job_1")
        await self.rest()
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


@asynccontextmanager
async def memory_world(_: str) -> AsyncIterator[World]:
    """A world in memory."""
    ledger = MemoryLedger()
    tables = MemoryRecoveries(ledger)
    account_id = uuid7()
    endpoint = registered(account_id)

    async def feed(account: UUID, event: FedEvent) -> None:
        tables.feeds.setdefault(account, []).append(event)

    async def rest() -> None:
        tables.now += timedelta(seconds=1)

    world = World(ledger, tables, tables, feed, rest, account_id, endpoint.id)
    await world.make(lambda books: books.add(endpoint), endpoint.id)
    yield world


@asynccontextmanager
async def postgres_world(database_url: str) -> AsyncIterator[World]:
    """A world on a database."""
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

        async def rest() -> None:
            async with pool.connection() as connection:
                await connection.execute(REST)

        book = PostgresRecoveries(pool, match_page=3)
        reads = PostgresDeliveryReads(pool)
        world = World(ledger, reads, book, feed, rest, account_id, endpoint.id)
        await world.make(lambda books: books.add(endpoint), endpoint.id)
        yield world


WORLDS = {"memory": memory_world, "postgres": postgres_world}
