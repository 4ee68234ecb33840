"""Campaigns as those see them that bring them on, on the fake and on the real thing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.campaign_pieces import PieceAcceptor, PricedRecipient
from semalink.application.campaign_sending import CampaignRef
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.outbox import StreamMark
from semalink.application.submission import Policy
from semalink.application.tasks import Task
from semalink.domain.account import Kind, Tier
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink_adapters.memory_campaigns import MemoryCampaigns
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.campaign_pieces import PostgresPieces
from semalink_adapters.postgres.dealing_book import PostgresBundleBook, PostgresDealingBook
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.schedule_book import PostgresScheduleBook

COST_MICROS = 800_000
MARK = StreamMark("SMS_BULK", datetime(2026, 11, 1, tzinfo=UTC), 5, 1, 1)

_FILL = """
INSERT INTO campaign_recipients (
    campaign_id, place, number, country, network, state, text, encoding, segments,
    price_micros, cost_micros, shadow_rules)
VALUES (%s, %s, %s, %s, %s, 'ready', %s, %s, %s, %s, %s, NULLIF(%s::text[], '{}'))"""
_TASKS = """
SELECT task_id, queue, kind, account_id, payload FROM tasks
WHERE payload->>'campaign_id' = %s ORDER BY payload->>'first'"""
_STATES = """
SELECT state FROM pending_submissions WHERE campaign_id = %s ORDER BY message_id"""


@dataclass
class Scheduled(PlainCommand):
    """Make a campaign that was checked and is to start."""

    ref: CampaignRef
    count: int
    plan: Plan
    start_at: datetime
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing."""

    def decide(self, books: Books) -> None:
        ref, cost = self.ref, self.count * COST_MICROS
        campaign = Campaign.draft(
            ref.campaign_id, ref.account_id, ref.billing_account_id, "live", self.plan, self.cause
        )
        found = Totals(self.count, self.count, {}, {}, {}, self.count, cost, cost)
        campaign.start_check(self.cause, schedules=True)
        campaign.record_check(found, self.cause)
        campaign.schedule(self.start_at, self.cause, needs_approval=False)
        books.add(campaign)


@dataclass
class Move(PlainCommand):
    """Pause, resume or cancel."""

    ref: CampaignRef
    move: str
    words: tuple[str, ...]
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.settings.add(self.ref.campaign_id)

    def decide(self, books: Books) -> None:
        campaign: Any = books.find(Campaign, self.ref.campaign_id)
        getattr(campaign, self.move)(*self.words, self.cause)


@dataclass
class World:
    """One implementation of every book, and one-line ways to work with them."""

    ledger: Ledger
    schedule: Any
    dealing: Any
    bundles: Any
    pieces: Any

    async def make(
        self, count: int, *, start_in: timedelta = timedelta(seconds=-1), **plan: Any
    ) -> CampaignRef:
        account_id = uuid7()
        ref = CampaignRef(uuid7(), account_id, account_id)
        start_at = datetime.now(UTC) + start_in
        for command in (
            OpenAccount(account_id, "Duka", Kind.DIRECT, Tier.STARTER, _cause()),
            TopUp(account_id, 100_000_000, f"payment-{account_id.hex}", _cause()),
            Scheduled(ref, count, Plan("Offer", "SEMA", "Karibu", **plan), start_at, _cause()),
        ):
            await self.ledger.execute(command)
        await self.fill(ref, [_recipient(number) for number in range(count)])
        return ref

    async def start(self, count: int, **facts: Any) -> CampaignRef:
        ref = await self.make(count, **facts)
        scheduler = Scheduler(self.schedule, self.ledger, new_request_id=lambda: "job_1")
        await scheduler.start_due()
        return ref

    async def accept(self, count: int, **facts: Any) -> CampaignRef:
        ref = await self.start(count, **facts)
        acceptor = PieceAcceptor(
            self.pieces, self.ledger, new_id=uuid7, now=lambda: datetime.now(UTC)
        )
        for task in await self.tasks(ref):
            await acceptor.accept(task)
        return ref

    async def move(self, ref: CampaignRef, move: str, *words: str) -> None:
        await self.ledger.execute(Move(ref, move, words, _cause()))

    async def fill(self, ref: CampaignRef, recipients: list[PricedRecipient]) -> None:
        raise NotImplementedError

    async def tasks(self, ref: CampaignRef) -> list[Task]:
        raise NotImplementedError

    async def states(self, ref: CampaignRef) -> list[str]:
        raise NotImplementedError


class MemoryWorld(World):
    async def fill(self, ref: CampaignRef, recipients: list[PricedRecipient]) -> None:
        self.pieces.recipients[ref.campaign_id] = recipients

    async def tasks(self, ref: CampaignRef) -> list[Task]:
        return list(self.pieces.tasks(ref.campaign_id))

    async def states(self, ref: CampaignRef) -> list[str]:
        return list(self.pieces.states(ref.campaign_id))


@dataclass
class PostgresWorld(World):
    connection: psycopg.AsyncConnection[Any]

    async def fill(self, ref: CampaignRef, recipients: list[PricedRecipient]) -> None:
        for place, each in enumerate(recipients):
            row = (
                ref.campaign_id, place, each.number, each.country, each.network, each.text,
                each.encoding, each.segments, each.price_micros, each.cost_micros,
                list(each.shadow_rules),
            )  # fmt: skip
            await self.connection.execute(_FILL, row)

    async def tasks(self, ref: CampaignRef) -> list[Task]:
        cursor = await self.connection.execute(_TASKS, (str(ref.campaign_id),))
        return [Task(*row) for row in await cursor.fetchall()]

    async def states(self, ref: CampaignRef) -> list[str]:
        cursor = await self.connection.execute(_STATES, (ref.campaign_id,))
        return [row[0] for row in await cursor.fetchall()]


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryLedger()
        books = MemoryCampaigns(memory, lambda: datetime.now(UTC))
        yield MemoryWorld(memory, books, books, books, books)
        return
    url = request.getfixturevalue("database_url")
    async with (
        open_pool(url, size=2) as pool,
        GroupCommit(url) as ledger,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as lead,
    ):
        yield PostgresWorld(
            ledger,
            PostgresScheduleBook(pool, shared_senders=["SEMA"]),
            PostgresDealingBook(lead),
            PostgresBundleBook(pool),
            PostgresPieces(pool),
            lead,
        )


async def test_claim_due_gives_a_campaign_to_one_and_again_after_its_claim(world: World) -> None:
    ref = await world.make(1)
    await world.make(1, start_in=timedelta(hours=1))

    first, second = await world.schedule.claim_due(9, 60.0), await world.schedule.claim_due(9, 60.0)
    seconds = await world.schedule.seconds_until_next()

    assert [each.campaign for each in first] == [ref]
    assert abs((first[0].at - datetime.now(UTC)).total_seconds()) < 5
    assert second == []
    assert 50 < seconds <= 60


async def test_seconds_until_next_is_of_the_next_that_is_scheduled(world: World) -> None:
    before = await world.schedule.seconds_until_next()
    ref = await world.make(1, start_in=timedelta(hours=1))
    far = await world.schedule.seconds_until_next()
    await world.move(ref, "cancel", "mistake")

    assert (before, await world.schedule.seconds_until_next()) == (None, None)
    assert 3_590 < far <= 3_600


async def test_piece_holds_what_the_check_left(world: World) -> None:
    ref = await world.start(3, metadata={"offer": "may"})

    piece = await world.pieces.piece(ref.campaign_id, 1, 5)

    assert (piece.campaign, piece.mode, piece.sender) == (ref, "live", "SEMA")
    assert piece.metadata == {"offer": "may"}
    assert piece.recipients == [_recipient(1), _recipient(2)]
    assert abs(piece.ends_at - datetime.now(UTC) - timedelta(days=1)) < timedelta(seconds=30)
    assert await world.pieces.piece(UUID(int=404), 0, 5) is None


async def test_start_asks_for_every_piece_and_accepting_ends_its_task(world: World) -> None:
    ref = await world.accept(2)

    [under_way] = await world.schedule.under_way()

    assert await world.tasks(ref) == []
    assert await world.states(ref) == ["held", "held"]
    assert replace(under_way, campaign=ref) == under_way
    assert (under_way.state, under_way.has_pieces) == ("sending", False)
    assert (under_way.has_unsent, under_way.has_open) == (True, True)


async def test_under_way_has_pieces_until_they_are_accepted(world: World) -> None:
    ref = await world.start(1)

    [under_way] = await world.schedule.under_way()

    assert len(await world.tasks(ref)) == 1
    assert (under_way.has_pieces, under_way.has_unsent) == (True, False)


async def test_held_messages_are_dealt_out_in_order_and_once(world: World) -> None:
    ref = await world.accept(3)

    first = list(await world.dealing.held(ref.campaign_id, 2))
    await world.dealing.dealt_out(first)
    left = await world.dealing.count_left(ref.campaign_id)
    rest = list(await world.dealing.held(ref.campaign_id, 9))
    await world.dealing.dealt_out(rest)

    assert sorted([*first, *rest]) == [*first, *rest]
    assert (len(first), len(rest), left) == (2, 1, 1)
    assert await world.states(ref) == ["queued"] * 3
    assert list(await world.dealing.held(ref.campaign_id, 9)) == []


async def test_hold_has_messages_dealt_out_again(world: World) -> None:
    ref = await world.accept(2)
    ids = list(await world.dealing.held(ref.campaign_id, 2))
    await world.dealing.dealt_out(ids)

    await world.bundles.hold(ids)

    assert list(await world.dealing.held(ref.campaign_id, 2)) == ids


async def test_put_off_messages_are_taken_up_when_they_are_due(world: World) -> None:
    ref = await world.accept(2)
    first, second = await world.dealing.held(ref.campaign_id, 2)
    now = datetime.now(UTC)
    await world.bundles.put_off([first], now + timedelta(hours=1))
    await world.bundles.put_off([second], now - timedelta(seconds=1))

    await world.dealing.take_up_due()

    assert list(await world.dealing.held(ref.campaign_id, 2)) == [second]
    assert await world.states(ref) == ["postponed", "held"]


async def test_park_keeps_messages_from_being_dealt_out(world: World) -> None:
    ref = await world.accept(1)
    ids = list(await world.dealing.held(ref.campaign_id, 1))

    await world.bundles.park(ids)

    assert await world.states(ref) == ["parked"]
    assert list(await world.dealing.held(ref.campaign_id, 1)) == []


async def test_take_back_lost_holds_what_a_new_stream_cannot_hold(world: World) -> None:
    ref = await world.accept(1)
    await world.dealing.dealt_out(await world.dealing.held(ref.campaign_id, 1))
    facts = {"missing_seconds": 30.0, "stale_seconds": 300.0, "refills_max": 3}
    known = await world.dealing.take_back_lost(MARK, **facts)
    fresh = replace(MARK, created_at=MARK.created_at + timedelta(days=1))

    lost = await world.dealing.take_back_lost(fresh, **facts)

    assert (known, lost) == (0, 1)
    assert await world.states(ref) == ["held"]


async def test_take_back_lost_parks_what_vanishes_each_time(world: World) -> None:
    ref = await world.accept(1)
    empty = replace(MARK, waiting_count=0)
    states = []
    for _ in range(3):
        await world.dealing.dealt_out(await world.dealing.held(ref.campaign_id, 1))
        await world.dealing.take_back_lost(
            empty, missing_seconds=0.0, stale_seconds=300.0, refills_max=2
        )
        states += await world.states(ref)

    assert states == ["held", "held", "parked"]


async def test_take_back_lost_holds_what_waits_too_long_whatever_the_queue_holds(
    world: World,
) -> None:
    ref = await world.accept(1)
    facts = {"missing_seconds": 0.0, "refills_max": 0}
    await world.dealing.dealt_out(await world.dealing.held(ref.campaign_id, 1))

    early = await world.dealing.take_back_lost(MARK, stale_seconds=300.0, **facts)
    late = await world.dealing.take_back_lost(MARK, stale_seconds=0.0, **facts)

    assert (early, late) == (0, 1)
    assert await world.states(ref) == ["held"]


async def test_dealt_out_marks_and_names_what_still_waits(world: World) -> None:
    ref = await world.accept(3)
    ids = list(await world.dealing.held(ref.campaign_id, 3))
    await world.bundles.park(ids[:1])

    marked = await world.dealing.dealt_out(ids)

    assert sorted(marked) == ids[1:]
    assert await world.states(ref) == ["parked", "queued", "queued"]


async def test_hold_of_the_dealer_has_messages_dealt_out_again(world: World) -> None:
    ref = await world.accept(2)
    ids = list(await world.dealing.held(ref.campaign_id, 2))
    await world.dealing.dealt_out(ids)

    await world.dealing.hold(ids)

    assert list(await world.dealing.held(ref.campaign_id, 2)) == ids


async def test_sending_are_those_that_neither_rest_nor_ended(world: World) -> None:
    finish_by = datetime(2030, 1, 1, tzinfo=UTC)
    ref = await world.accept(1, rate_per_second=7, finish_by=finish_by)
    paused = await world.accept(1)
    await world.move(paused, "pause", "wait")

    [sending] = await world.dealing.sending()

    assert (sending.campaign, sending.rate_per_second) == (ref, 7)
    assert (sending.finish_by, sending.countries) == (finish_by, ())


async def test_step_of_the_keeper_cancels_and_settles(world: World) -> None:
    ref = await world.accept(3)
    await world.move(ref, "cancel", "mistake")
    facts: Any = {"now": lambda: datetime.now(UTC), "new_request_id": lambda: "job_2"}
    keeper = CampaignKeeper(world.schedule, world.ledger, policy=Policy(), **facts)

    for _ in range(2):
        await keeper.step()

    assert await world.states(ref) == []
    assert await world.schedule.under_way() == []


def _recipient(number: int) -> PricedRecipient:
    return PricedRecipient(
        f"+2547{number:08d}", "Karibu", "KE", "safaricom", "gsm-7", 1, COST_MICROS, COST_MICROS,
        ("loans", "bets") if number == 1 else (),
    )  # fmt: skip


def _cause() -> Cause:
    return Cause("key:duka", datetime.now(UTC), "req_1")
