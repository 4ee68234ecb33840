"""What is due, issued and claimed: the same rules on the fake and on the real tables."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest

from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.webhook_attempts import RecordAttempt
from semalink.application.webhook_dispatching import DispatchBook, Room, Ticket
from semalink.application.webhook_sending import Claims
from semalink.domain.cause import Cause
from semalink.domain.endpoint_health import Breaker
from semalink.domain.webhook_delivery import Attempt, Subject, Trigger, WebhookDelivery
from semalink.domain.webhook_endpoint import DisabledReason, EndpointTerms, WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_webhooks import MemoryWebhooks
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.webhook_claims import PostgresClaims
from semalink_adapters.postgres.webhook_dispatch import PostgresDispatch

ACCOUNT = UUID(int=0xACC0)
SLOW, FAST = UUID(int=0xE1), UUID(int=0xE2)
LEASE = timedelta(seconds=75)
EVERYTHING = (Room(SLOW, 100, 100), Room(FAST, 100, 100))


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause
    settings: tuple[UUID, ...] = ()
    deliveries: tuple[UUID, ...] = ()

    def needs(self, needs: Needs) -> None:
        needs.settings.update(self.settings)
        needs.deliveries.update(self.deliveries)

    def decide(self, books: Books) -> None:
        self.by(books)


class World(Protocol):
    """Deliveries, and who works on them."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def book(self) -> DispatchBook: ...

    @property
    def claims(self) -> Claims: ...


@dataclass
class Parts:
    ledger: Ledger
    book: DispatchBook
    claims: Claims


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        ledger = MemoryLedger()
        webhooks = MemoryWebhooks(ledger, lambda: datetime.now(UTC))
        yield Parts(ledger, webhooks, webhooks)
        return
    url = request.getfixturevalue("database_url")
    pool = open_pool(url, size=2)
    await pool.open()
    async with (
        GroupCommit(url) as group_commit,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        yield Parts(group_commit, PostgresDispatch(connection), PostgresClaims(pool))
    await pool.close()


def cause() -> Cause:
    return Cause("operator:1", datetime.now(UTC), "req_1")


async def open_endpoint(world: World, endpoint_id: UUID) -> None:
    terms = EndpointTerms("https://example.com/", ("*",), rate_per_second=7, concurrency=3)
    await world.ledger.execute(
        Change(
            lambda books: books.add(WebhookEndpoint.register(endpoint_id, ACCOUNT, terms, cause())),
            cause(),
        )
    )


async def make(world: World, endpoint_id: UUID, *numbers: int) -> None:
    def add(books: Books) -> None:
        for number in numbers:
            event_id = f"evt_{number}"
            subject = Subject(endpoint_id, ACCOUNT, event_id, "webhook.test", None, None, "{}")
            books.add(WebhookDelivery.create(delivery_id(number), subject, cause()))

    await world.ledger.execute(Change(add, cause()))


def delivery_id(number: int) -> UUID:
    milliseconds = int(datetime.now(UTC).timestamp()) // 86_400 * 86_400_000
    return UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | number)


async def record(
    world: World, number: int, status: int, attempt_no: int = 1, at: datetime | None = None
) -> None:
    is_delivered = status == 200
    attempt = Attempt(
        attempt_no,
        "delivered" if is_delivered else "failed",
        "https://example.com/",
        status,
        None if is_delivered else "status",
        12,
    )
    made = cause() if at is None else replace(cause(), at=at)
    command = RecordAttempt(delivery_id(number), SLOW, attempt, 0.0, made)
    await world.ledger.execute(command)


async def move(world: World, *, pauses: bool) -> None:
    def change(books: Books) -> None:
        endpoint = books.find(WebhookEndpoint, SLOW)
        assert endpoint is not None
        if pauses:
            endpoint.pause("maintenance", cause())
        else:
            endpoint.resume(cause())

    await world.ledger.execute(Change(change, cause(), (SLOW,)))


async def reopen(world: World, number: int) -> None:
    def open_again(books: Books) -> None:
        assert books.delivery(delivery_id(number)).reopen(Trigger.MANUAL, cause())

    change = Change(open_again, cause(), deliveries=(delivery_id(number),))
    await world.ledger.execute(change)


async def issued_numbers(world: World, *rooms: Room, limit: int = 100) -> list[int]:
    issued = await world.book.issue(rooms or EVERYTHING, limit)
    return sorted(one.ticket.delivery_id.int & 0xFFFF for one in issued)


async def claim(world: World, *numbers: int, attempt_no: int = 1) -> list[int]:
    tickets = [Ticket(delivery_id(number), attempt_no) for number in numbers]
    return sorted(one.delivery_id.int & 0xFFFF for one in await world.claims.claim(tickets, LEASE))


async def test_targets_due_names_each_endpoint_once(world: World):
    await open_endpoint(world, SLOW)
    await open_endpoint(world, FAST)
    await make(world, SLOW, 1, 2, 3)

    [target] = await world.book.targets_due()

    assert (target.endpoint_id, target.is_enabled) == (SLOW, True)
    assert (target.rate_per_second, target.concurrency) == (7, 3)
    assert target.record.attempts == 0


async def test_issue_keeps_within_the_room_of_each_endpoint(world: World):
    await open_endpoint(world, SLOW)
    await open_endpoint(world, FAST)
    await make(world, SLOW, 1, 2, 3)
    await make(world, FAST, 4, 5)

    first = await issued_numbers(world, Room(SLOW, 2, 2), Room(FAST, 9, 1))
    second = await issued_numbers(world, Room(SLOW, 2, 2), Room(FAST, 9, 9))

    assert (first, second) == ([1, 2, 4], [5])


async def test_issue_ends_at_the_limit(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2, 3)

    assert await issued_numbers(world, limit=2) == [1, 2]
    assert await issued_numbers(world) == [3]
    assert await world.book.targets_due() == []


async def test_claim_gives_each_attempt_to_one_worker(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await issued_numbers(world)

    [claimed] = await world.claims.claim([Ticket(delivery_id(1), 1)], LEASE)

    assert (claimed.event_id, claimed.payload, claimed.attempt_no) == ("evt_1", b"{}", 1)
    assert (claimed.url, claimed.concurrency) == ("https://example.com/", 3)
    assert await claim(world, 1, 2) == [2]


async def test_claim_refuses_what_is_not_issued_or_has_another_number(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await issued_numbers(world, Room(SLOW, 1, 1))

    assert await claim(world, 2) == []
    assert await claim(world, 1, attempt_no=2) == []


async def test_claim_refuses_what_its_owner_paused(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1)
    await issued_numbers(world)

    await move(world, pauses=True)

    assert await claim(world, 1) == []


@pytest.mark.parametrize("is_claimed", [False, True])
async def test_reopen_leaves_what_is_out_where_it_is(world: World, *, is_claimed: bool):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1)
    await record(world, 1, 500, at=datetime.now(UTC) - timedelta(hours=1))
    await issued_numbers(world)
    claimed = await claim(world, 1, attempt_no=2) if is_claimed else []

    await reopen(world, 1)

    assert await issued_numbers(world) == []
    assert claimed + await claim(world, 1, attempt_no=2) == [1]
    assert await claim(world, 1, attempt_no=2) == []


async def test_reopen_makes_due_what_waited_or_had_ended(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await record(world, 1, 500)
    await record(world, 2, 200)

    await reopen(world, 1)
    await reopen(world, 2)

    assert await issued_numbers(world) == [1, 2]


async def test_pause_makes_room_for_what_goes_on(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await issued_numbers(world)
    await claim(world, 1)

    await move(world, pauses=True)
    await move(world, pauses=False)

    assert await issued_numbers(world) == [2]


async def test_claim_makes_due_again_what_was_issued_after_a_pause(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1)
    await move(world, pauses=True)
    await issued_numbers(world)

    assert await claim(world, 1) == []
    assert await issued_numbers(world) == [1]


async def test_resuming_forgets_since_when_an_endpoint_failed(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await record(world, 1, 500)

    await move(world, pauses=True)
    await move(world, pauses=False)

    [target] = await world.book.targets_due()
    assert (target.record.failures, target.record.failing_since) == (1, None)


async def test_put_off_makes_due_again_without_using_an_attempt(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    issued = await world.book.issue(EVERYTHING, 100)
    claimed = await world.claims.claim([one.ticket for one in issued], LEASE)

    await world.claims.put_off(claimed[:1], 0.0)
    await world.claims.put_off(claimed[1:], 3_600.0)

    assert await issued_numbers(world) == [claimed[0].delivery_id.int & 0xFFFF]


async def test_take_back_makes_due_what_is_issued_and_not_claimed(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    issued = await world.book.issue(EVERYTHING, 100)
    await claim(world, 1)

    await world.book.take_back(issued)

    assert await issued_numbers(world) == [2]


async def test_take_back_lost_knows_age_and_lease(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await issued_numbers(world)
    await world.claims.claim([Ticket(delivery_id(1), 1)], timedelta(seconds=-1))

    assert await world.book.take_back_lost(timedelta(minutes=2)) == 1
    assert await world.book.take_back_lost(timedelta(seconds=-1)) == 1
    assert await issued_numbers(world) == [1, 2]


async def test_issued_now_pages_through_what_nobody_holds(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2, 3)
    await issued_numbers(world)
    await claim(world, 2)

    first = await world.book.issued_now(None, 1)
    rest = await world.book.issued_now(first[0].ticket.delivery_id, 9)

    assert [one.ticket for one in first] == [Ticket(delivery_id(1), 1)]
    assert [one.ticket for one in rest] == [Ticket(delivery_id(3), 1)]


async def test_record_counts_for_the_health_of_the_endpoint(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2, 3, 4)

    await record(world, 1, 500)
    await record(world, 2, 500)
    [failing] = await world.book.targets_due()
    await record(world, 3, 200)
    [well] = await world.book.targets_due()

    assert (failing.record.failures, failing.record.consecutive_failures) == (2, 2)
    assert failing.record.failing_since is not None
    assert (well.record.attempts, well.record.consecutive_failures) == (3, 0)
    assert well.record.failing_since is None
    assert well.record.last_success_at is not None


async def test_record_again_changes_nothing(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)

    await record(world, 1, 500)
    await record(world, 1, 500)
    [target] = await world.book.targets_due()

    assert target.record.failures == 1


async def test_store_breakers_are_found_again(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await record(world, 1, 500)
    opened = Breaker(2, datetime.now(UTC), datetime.now(UTC) + timedelta(minutes=1))

    await world.book.store_breakers({SLOW: opened})

    [target] = await world.book.targets_due()
    assert target.breaker == opened


async def test_resuming_forgets_what_disabled_an_endpoint(world: World):
    await open_endpoint(world, SLOW)
    await make(world, SLOW, 1, 2)
    await record(world, 1, 500)

    def disable_and_resume(books: Books) -> None:
        endpoint = books.find(WebhookEndpoint, SLOW)
        assert endpoint is not None
        endpoint.disable(DisabledReason.FAILING, cause())
        endpoint.resume(cause())

    await world.ledger.execute(Change(disable_and_resume, cause(), (SLOW,)))

    [target] = await world.book.targets_due()
    assert (target.is_enabled, target.record.failures) == (True, 0)
