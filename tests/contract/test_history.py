"""What any history promises: the same suite on the one in memory and on PostgreSQL."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.credits import ApproveAdjustment, ProposeAdjustment, SetCreditLimit
from semalink.application.history import History, HistoryFilter, HistoryRow, Place
from semalink.application.ledger import Idempotency, Ledger
from semalink.application.reading import ReadsUnavailable
from semalink.application.sending import AcceptBatch, AcceptMessage
from semalink.application.webhook_recovery import MoveRecovery, SendTest, StartRecovery, Step
from semalink.application.webhooks import EndpointStep, MadeSecret, MoveEndpoint, RegisterEndpoint
from semalink.domain.account import Kind, Tier
from semalink.domain.adjustment import Category
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.errors import DomainError, EmptyText
from semalink.domain.recovery import RecoveryMode, Wanted
from semalink.domain.webhook_endpoint import EndpointTerms, Secret, SecretKind
from semalink_adapters.memory_history import MemoryHistory
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.queries import open_pool

PRICE_MICROS = 800_000
NUMBER = "+254712345678"
TEXT = "Nambari ya siri"


@dataclass
class World:
    """A ledger with its history, and one-line ways to make some."""

    ledger: Ledger
    history: History
    make_unavailable: Callable[[], Awaitable[None]]

    def cause(self, actor: str = "operator:wanjiku") -> Cause:
        return Cause(actor, datetime.now(UTC), f"req_{uuid7().hex}")

    async def open(self, message_count: int = 0) -> UUID:
        account_id = uuid7()
        opened = OpenAccount(account_id, "Duka", Kind.DIRECT, Tier.STARTER, self.cause())
        await self.ledger.execute(opened)
        if message_count:
            paid = TopUp(
                account_id, message_count * PRICE_MICROS, f"pay {account_id}", self.cause()
            )
            await self.ledger.execute(paid)
        return account_id

    def draft(self, account_id: UUID, cause: Cause) -> Draft:
        return Draft(
            account_id=account_id,
            billing_account_id=account_id,
            mode="live",
            to=NUMBER,
            country="KE",
            network="safaricom",
            text=TEXT,
            sender="DUKA",
            lane="normal",
            encoding="GSM-7",
            segments=1,
            price_micros=PRICE_MICROS,
            expires_at=cause.at + timedelta(hours=24),
            metadata={"account_id": str(uuid7()), "actor": "key:other"},
        )

    async def send(self, account_id: UUID, key: str | None = None) -> UUID:
        """Send a message; its id, whether it was taken or refused."""
        cause = self.cause("key:shop")
        idempotency = Idempotency(account_id, key, hashlib.sha256().digest()) if key else None
        command = AcceptMessage(
            uuid7(), account_id, self.draft(account_id, cause), cause, idempotency
        )
        with suppress(DomainError):
            await self.ledger.execute(command)
        return command.message_id

    async def set_limit(self, account_id: UUID, limit_micros: int, reason: str) -> Cause:
        cause = self.cause()
        await self.ledger.execute(SetCreditLimit(account_id, limit_micros, reason, cause))
        return cause

    async def rows(self, limit: int = 100, **asked: Any) -> list[HistoryRow]:
        """Return every row that is asked for, page by page."""
        wanted, rows, place = HistoryFilter(**asked), [], None
        while True:
            page = await self.history.page(wanted, place, limit)
            rows += page.rows
            place = page.next
            if place is None:
                return rows

    async def names(self, **asked: Any) -> list[str]:
        return [row.name for row in await self.rows(**asked)]


async def _in_memory() -> AsyncIterator[World]:
    ledger = MemoryLedger()
    history = MemoryHistory(ledger, lambda: datetime.now(UTC))

    async def make_unavailable() -> None:
        history.is_available = False

    yield World(ledger, history, make_unavailable)


async def _on_postgres(database_url: str) -> AsyncIterator[World]:
    async with GroupCommit(database_url) as ledger, open_pool(database_url, size=1) as pool:
        yield World(ledger, PostgresHistory(pool), pool.close)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        worlds = _in_memory()
    else:
        worlds = _on_postgres(request.getfixturevalue("database_url"))
    async for world in worlds:
        yield world


async def test_history_of_an_account_has_its_endpoints_and_recoveries(world: World) -> None:
    account_id, other_id = await world.open(), await world.open()
    endpoint_id, recovery_id = uuid7(), uuid7()
    terms = EndpointTerms("https://shop.example.com/hooks", ("*",))
    at = datetime.now(UTC)
    wanted = Wanted(
        endpoint_id, RecoveryMode.FAILED, at - timedelta(hours=1), at, ("*",), rate_per_second=5
    )
    ours = (endpoint_id, account_id)
    for command in (
        RegisterEndpoint(*ours, terms, (), 0, world.cause()),
        MoveEndpoint(*ours, EndpointStep.PAUSE, world.cause(), "mending"),
        StartRecovery(recovery_id, account_id, wanted, world.cause()),
        MoveRecovery(recovery_id, *ours, Step.CANCEL, world.cause()),
    ):
        await world.ledger.execute(command)

    rows = await world.rows(account_id=account_id, is_newest_first=False)
    paused = await world.rows(name="webhook_endpoint.paused")

    assert [row.name for row in rows][2:] == [
        "webhook_endpoint.created", "webhook_endpoint.paused", "recovery.created",
        "recovery.cancelled",
    ]  # fmt: skip
    assert {row.account_id for row in rows} == {f"acct_{account_id.hex}"}
    assert [(row.actor, row.reason) for row in paused] == [("operator:wanjiku", "mending")]
    assert await world.names(account_id=other_id, name="recovery") == []


async def test_history_tells_who_changed_a_limit_from_what_to_what_and_why(world: World) -> None:
    account_id = await world.open()
    await world.set_limit(account_id, 200, "first contract")
    cause = await world.set_limit(account_id, 500, "contract 2026/117")

    row, first = await world.rows(account_id=account_id, name="credit.limit_set")

    assert (row.actor, row.request_id, row.reason) == (
        "operator:wanjiku", cause.request_id, "contract 2026/117",
    )  # fmt: skip
    assert row.before == {"credit_limit_micros": 200}
    assert row.facts["credit_limit_micros"] == 500
    assert row.account_id == f"acct_{account_id.hex}"
    assert first.before == {"credit_limit_micros": 0}


async def test_history_tells_every_refused_send_with_its_reason(world: World) -> None:
    account_id = await world.open()
    await world.send(account_id)
    await world.send(account_id, "key-1")
    await world.send(account_id, "key-1")
    cause = world.cause("key:shop")
    parts = [world.draft(account_id, cause), EmptyText()]
    batch = AcceptBatch([uuid7(), uuid7()], account_id, parts, cause, None)
    await world.ledger.execute(batch)

    rows = await world.rows(name="refused", is_newest_first=False)

    assert [(row.name, row.reason, row.facts) for row in rows] == [
        ("refused.accept_message", "insufficient_credits", {}),
        ("refused.accept_message", "insufficient_credits", {}),
        ("refused.accept_batch", "insufficient_credits", {"part": 0}),
        ("refused.accept_batch", "empty_text", {"part": 1}),
    ]
    assert {row.account_id for row in rows} == {f"acct_{account_id.hex}"}
    assert all(row.detail for row in rows)


async def test_history_of_a_message_is_its_steps_and_its_credits(world: World) -> None:
    account_id = await world.open(2)
    message_id = await world.send(account_id)
    await world.send(account_id)

    rows = await world.rows(subject_id=message_id, is_newest_first=False)

    assert sorted(row.name for row in rows) == ["credit.reserved", "message.accepted"]
    assert {row.message_id for row in rows} == {f"msg_{message_id.hex}"}


async def test_history_of_an_account_is_all_that_is_its_own(world: World) -> None:
    account_id = await world.open(1)
    other = await world.open(1)
    await world.send(account_id)
    await world.send(account_id)
    await world.send(other)

    names = await world.names(account_id=account_id)

    assert sorted(names) == [
        "account.created", "credit.created", "credit.reserved", "credit.topped_up",
        "message.accepted", "refused.accept_message",
    ]  # fmt: skip


async def test_history_of_an_account_knows_its_adjustments(world: World) -> None:
    account_id = await world.open()
    adjustment_id = uuid7()
    await world.ledger.execute(
        ProposeAdjustment(
            adjustment_id, account_id, 700, Category.GOODWILL, "an outage", world.cause()
        )
    )
    await world.ledger.execute(ApproveAdjustment(adjustment_id, account_id, world.cause("cli:ann")))

    rows = await world.rows(account_id=account_id, name="adjustment", is_newest_first=False)

    assert [(row.name, row.actor) for row in rows] == [
        ("adjustment.proposed", "operator:wanjiku"),
        ("adjustment.approved", "cli:ann"),
        ("adjustment.applied", "cli:ann"),
    ]
    assert {row.account_id for row in rows} == {f"acct_{account_id.hex}"}


async def test_history_by_actor_ignores_what_customers_wrote(world: World) -> None:
    account_id = await world.open(1)
    await world.send(account_id)

    assert sorted(await world.names(actor="key:shop")) == ["credit.reserved", "message.accepted"]
    assert await world.names(actor="key:other") == []


async def test_history_by_request_finds_all_that_came_of_it(world: World) -> None:
    account_id = await world.open()
    cause = await world.set_limit(account_id, 200, "first contract")

    assert await world.names(request_id=cause.request_id) == ["credit.limit_set"]
    assert await world.names(request_id="theirs-1") == []


async def test_history_within_a_time_holds_nothing_outside(world: World) -> None:
    await world.open()
    between = datetime.now(UTC)
    await world.open(1)

    late = await world.names(from_at=between, is_newest_first=False)
    early = await world.names(before_at=between, is_newest_first=False)

    assert sorted(late) == ["account.created", "credit.created", "credit.topped_up"]
    assert sorted(early) == ["account.created", "credit.created"]


async def test_history_shows_neither_number_nor_text(world: World) -> None:
    account_id = await world.open(1)
    await world.send(account_id)

    shown = str(await world.rows())

    assert "<redacted>" in shown
    assert NUMBER not in shown
    assert TEXT not in shown


@pytest.mark.parametrize("is_newest_first", [True, False])
async def test_pages_of_a_history_have_no_gap_and_no_repetition_while_it_grows(
    world: World, *, is_newest_first: bool
) -> None:
    account_id = await world.open(10)
    for _ in range(12):
        await world.send(account_id)
    asked = HistoryFilter(is_newest_first=is_newest_first)
    before = [row.id for row in await world.rows(is_newest_first=is_newest_first)]
    told: list[str] = []
    place: Place | None = None

    for _ in range(len(before)):
        page = await world.history.page(replace(asked), place, 1)
        told += [row.id for row in page.rows]
        place = page.next
        await world.send(account_id)
        if place is None:
            break

    assert told[: len(before)] == before
    assert len(set(told)) == len(told)


async def test_history_says_so_when_the_database_is_away(world: World) -> None:
    await world.make_unavailable()

    with pytest.raises(ReadsUnavailable):
        await world.history.page(HistoryFilter(), None, 1)


async def webhooks(world: World) -> tuple[UUID, UUID, UUID]:
    """Register an endpoint and send a test event; the account, the endpoint, the delivery."""
    account_id, endpoint_id, delivery_id = await world.open(), uuid7(), uuid7()
    terms = EndpointTerms("https://shop.example.com", ("*",))
    secret = MadeSecret(Secret(uuid7(), SecretKind.V1, "ab"), b"sealed", "whsec_")
    await world.ledger.execute(
        RegisterEndpoint(endpoint_id, account_id, terms, (secret,), 0, world.cause())
    )
    await world.ledger.execute(SendTest(delivery_id, endpoint_id, account_id, world.cause()))
    return account_id, endpoint_id, delivery_id


async def test_history_tells_what_was_done_to_an_endpoint(world: World) -> None:
    account_id, endpoint_id, _ = await webhooks(world)

    rows = await world.rows(subject_id=endpoint_id, is_newest_first=False)

    names = [row.name for row in rows]
    assert names == ["webhook_endpoint.created", "webhook_endpoint.secret_added"]
    assert {row.account_id for row in rows} == {f"acct_{account_id.hex}"}
    assert "sealed" not in repr(rows)
    assert set(names) < set(await world.names(account_id=account_id))


async def test_history_tells_of_a_delivery_by_its_id_or_by_name(world: World) -> None:
    account_id, _, delivery_id = await webhooks(world)

    [row] = await world.rows(subject_id=delivery_id)

    assert (row.name, row.account_id) == ("webhook_delivery.created", f"acct_{account_id.hex}")
    assert await world.names(account_id=account_id, name="webhook_delivery") == [row.name]
    assert row.name not in await world.names(account_id=account_id)
