"""One suite for the route book and the reads of routes: in memory and on PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, PreferRoute
from semalink.application.ledger import Books, Command, Ledger, Needs, PlainCommand
from semalink.application.route_book import HourTally, RouteBook, RouteTally, second_of
from semalink.application.route_reading import RouteReads
from semalink.application.route_watch import RouteWatch
from semalink.application.routes import (
    DedicateRoute,
    EndProbe,
    OverrideAccountRoute,
    OverrideRoute,
    OverrideSenderRoute,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Lane
from semalink.domain.route import Route, route_id
from semalink.domain.route_health import EVERY_NETWORK, Figures, Tally
from semalink.domain.routing import CircuitState, Detour, RouteMode, Wish, state_of
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_route_reads import MemoryRouteReads
from semalink_adapters.memory_routes import MemoryRoutes
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.route_reads import PostgresRouteReads
from semalink_adapters.postgres.routes import PostgresRoutes

_numbers = count(1)


@dataclass
class World:
    """A ledger, what workers tell one another, and a clock."""

    ledger: Ledger
    book: RouteBook
    reads: RouteReads
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def cause(self) -> Cause:
        return Cause("worker:sms", self.now, f"job_{next(_numbers)}")

    async def do(self, command: Command[Any]) -> Any:
        return (await self.ledger.execute(command)).value

    def watch(self) -> RouteWatch:
        return RouteWatch(
            self.book,
            self.ledger,
            wish_of=self.book.wish_of,
            order=("celcom", "africastalking"),
            now=lambda: self.now,
            new_request_id=lambda: f"job_{next(_numbers)}",
            on_trip=lambda *_: None,
        )

    def state(self, watch: RouteWatch) -> CircuitState:
        return state_of(watch.board.standings["celcom"], None, self.now)


@dataclass(frozen=True, slots=True)
class StartProbe(PlainCommand):
    """Lets one message try Celcom."""

    message_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.settings.add(route_id("celcom"))

    def decide(self, books: Books) -> bool:
        route = books.find(Route, route_id("celcom"))
        return route is not None and route.start_probe(EVERY_NETWORK, self.message_id, self.cause)


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    book = MemoryRoutes(ledger)
    yield World(ledger, book, MemoryRouteReads(book, ledger))


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    pool = open_pool(database_url, size=2)
    await pool.open()
    try:
        async with GroupCommit(database_url) as ledger:
            yield World(ledger, PostgresRoutes(pool), PostgresRouteReads(pool))
    finally:
        await pool.close()


@pytest.fixture(
    params=[pytest.param(_in_memory, id="memory"), pytest.param(_on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with nothing in it."""
    async with request.param(request.getfixturevalue) as world:
        yield world


def fail(watch: RouteWatch, times: int) -> None:
    for _ in range(times):
        watch.end(watch.begin("celcom", "safaricom"), "transient")


async def test_add_adds_up_what_two_workers_saw(world: World) -> None:
    second = second_of(world.now)
    hour = world.now.replace(minute=0, second=0, microsecond=0)
    for errors in (1, 2):
        await world.book.add(
            [
                RouteTally("celcom", Tally(second, "airtel", 5, errors)),
                RouteTally("celcom", Tally(second - 9, "airtel", 7, 7)),
            ],
            [HourTally("celcom", hour, 3, 5, errors)],
        )

    records = await world.book.read(second - 9)
    hours = await world.reads.hours(hour)

    assert records.tallies == [RouteTally("celcom", Tally(second, "airtel", 10, 3))]
    assert (sum(each.attempts for each in hours), sum(each.errors for each in hours)) == (10, 3)
    assert list(await world.reads.hours(hour + timedelta(hours=1))) == []


async def test_two_workers_see_one_trip_and_one_recovery(world: World) -> None:
    one, two = world.watch(), world.watch()
    began_at = world.now
    fail(one, 6)
    fail(two, 4)
    for watch in (one, two, one):
        await watch.beat()
    tripped = [world.state(one), world.state(two)]
    world.now += timedelta(seconds=15)
    for number in range(3):
        assert await world.do(StartProbe(UUID(int=number), world.cause()))
        assert not await world.do(StartProbe(UUID(int=99), world.cause()))
        await world.do(
            EndProbe("celcom", "", UUID(int=number), "accepted", passed=True, cause=world.cause())
        )
    for watch in (one, two):
        await watch.beat()

    assert tripped == [CircuitState.OPEN] * 2
    assert [world.state(one), world.state(two)] == [CircuitState.CLOSED] * 2
    assert one.board.standings["celcom"].figures == Figures()
    counts = await world.reads.event_counts(began_at - timedelta(minutes=1))
    assert counts["celcom", "route.tripped.1"] == 1
    assert counts["celcom", "route.probe_started.1"] == 3
    assert counts["celcom", "route.recovered.1"] == 1


async def test_probe_under_way_and_failed_probe_are_seen_by_all(world: World) -> None:
    watch = world.watch()
    fail(watch, 10)
    await watch.beat()
    world.now += timedelta(seconds=15)
    await watch.beat()
    due = watch.board.standings["celcom"].circuits[EVERY_NETWORK]
    await world.do(StartProbe(UUID(int=1), world.cause()))
    await watch.beat()
    taken = watch.board.standings["celcom"].circuits[EVERY_NETWORK]
    await world.do(EndProbe("celcom", "", UUID(int=1), "bug", passed=False, cause=world.cause()))
    await watch.beat()

    assert due.is_due(world.now, Lane.NORMAL)
    assert not taken.is_due(world.now, Lane.NORMAL)
    circuit = watch.board.standings["celcom"].circuits[EVERY_NETWORK]
    assert circuit.probe_at == world.now + timedelta(seconds=30)
    assert circuit.probe_until is None


async def test_overrides_are_read_back_and_cleared(world: World) -> None:
    ends_at = world.now + timedelta(hours=1)
    watch = world.watch()
    await world.do(
        OverrideRoute("celcom", RouteMode.DISABLE, "maintenance", ends_at, world.cause())
    )
    await world.do(OverrideSenderRoute("SEMA", "celcom", "registered", ends_at, world.cause()))
    await watch.beat()
    standing, senders = watch.board.standings["celcom"], watch.board.senders
    listed = await world.reads.overrides()
    await world.do(OverrideRoute("celcom", RouteMode.AUTO, "over", None, world.cause()))
    await world.do(OverrideSenderRoute("SEMA", None, "over", None, world.cause()))
    await watch.beat()

    assert (standing.mode, standing.mode_until) == (RouteMode.DISABLE, ends_at)
    assert senders == {"SEMA": Detour("celcom", ends_at)}
    assert [(each.scope, each.mode, each.reason) for each in listed] == [
        ("route", RouteMode.DISABLE, "maintenance"),
        ("sender", RouteMode.PREFER, "registered"),
    ]
    assert watch.board.standings["celcom"].mode is RouteMode.AUTO
    assert watch.board.senders == {}
    assert list(await world.reads.overrides()) == []


async def test_wish_of_an_account_is_read_back(world: World) -> None:
    account_id = uuid7()
    for command in (
        OpenAccount(account_id, "Benki", Kind.DIRECT, Tier.ENTERPRISE, world.cause()),
        PreferRoute(account_id, "africastalking", world.cause()),
        DedicateRoute(account_id, "celcom-acme", "contract", world.cause()),
        OverrideAccountRoute(account_id, "celcom", "complaints", None, world.cause()),
    ):
        await world.do(command)

    wish = await world.book.wish_of(account_id)
    listed = await world.reads.overrides()
    await world.do(OverrideAccountRoute(account_id, None, "solved", None, world.cause()))

    assert wish == Wish(Detour("celcom"), "celcom-acme", "africastalking")
    assert [(each.scope, each.route) for each in listed] == [
        ("account", "celcom"),
        ("dedicated", "celcom-acme"),
    ]
    assert (await world.book.wish_of(account_id)).override is None
    assert await world.book.wish_of(uuid7()) == Wish()
