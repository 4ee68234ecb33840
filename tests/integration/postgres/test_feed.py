"""The feed numbers what accounts may see without a gap, once each, and makes deliveries of it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import TopUp
from semalink.application.ledger import Books as LedgerBooks
from semalink.application.ledger import Needs, PlainCommand
from semalink.application.ports import ReportState
from semalink.application.webhooks import RegisterEndpoint
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import DeliveryState
from semalink.domain.webhook_endpoint import (
    DisabledReason,
    EndpointTerms,
    SecretKind,
    WebhookEndpoint,
)
from semalink_adapters.postgres.feed import FeedPage, FeedWriter, connect
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.webhooks.secret_making import SealedSecrets

SECONDS_MAX = 20.0
INSERT_ENDPOINT = """
INSERT INTO webhook_endpoints (
    endpoint_id, account_id, url, event_types, state, rate_per_second, concurrency, description,
    created_at, changed_at)
VALUES (%s, %s, 'https://example.com', %s, %s, 50, 4, '', %s, now())"""


def cause() -> Cause:
    return Cause("worker:feed", datetime.now(UTC), "job_1")


@pytest.fixture
def writer(database_url: str) -> Iterator[FeedWriter]:
    """A feed writer with pages that are soon full."""
    with connect(database_url) as connection:
        yield FeedWriter(connection, page_size=3)


def follow(writer: FeedWriter) -> list[FeedPage]:
    """Step until there is nothing more."""
    pages = [writer.step(cause())]
    while pages[-1].row_count:
        pages.append(writer.step(cause()))
    return pages


def feed_of(books: Any, account_id: UUID) -> list[dict[str, Any]]:
    rows = books.all(
        "SELECT sequence, payload FROM account_events WHERE account_id = %s ORDER BY sequence",
        account_id,
    )
    assert [sequence for sequence, _ in rows] == list(range(1, len(rows) + 1))
    payloads = [json.loads(payload) for _, payload in rows]
    assert [one["sequence"] for one in payloads] == [sequence for sequence, _ in rows]
    return payloads


async def deliver(desk: Any, account_id: UUID) -> UUID:
    job = await desk.accept_job(account_id)
    await desk.submit(job, f"ref-{job.message_id.hex}")
    await desk.report(job, f"ref-{job.message_id.hex}", ReportState.DELIVERED)
    message_id: UUID = job.message_id
    return message_id


async def test_feed_tells_the_life_of_a_message_in_order(
    desk: Any, books: Any, writer: FeedWriter
) -> None:
    account_id = await desk.open_account(message_count=2)
    await deliver(desk, account_id)

    follow(writer)

    told = feed_of(books, account_id)
    assert [one["type"] for one in told] == [
        "credit.topped_up",
        "credit.reserved",
        "message.accepted",
        "credit.charged",
        "message.submitted",
        "message.delivered",
    ]
    statuses = [one["data"]["status"] for one in told if one["type"].startswith("message.")]
    assert statuses == ["accepted", "submitted", "delivered"]
    assert all("text" not in one["data"] for one in told)
    assert {one["version"] for one in told} == {1}


async def test_feed_begins_nothing_twice(desk: Any, books: Any, writer: FeedWriter) -> None:
    account_id = await desk.open_account(message_count=2)
    await deliver(desk, account_id)
    follow(writer)

    assert writer.step(cause()) == FeedPage()

    assert len(feed_of(books, account_id)) == 6
    assert books.one("SELECT last_sequence FROM account_feeds") == 6


async def test_feed_leaves_nothing_behind_when_it_dies_before_its_commit(
    desk: Any, books: Any, database_url: str, writer: FeedWriter
) -> None:
    account_id = await desk.open_account(message_count=2)
    await deliver(desk, account_id)

    with connect(database_url) as dying, dying.transaction(force_rollback=True):
        assert FeedWriter(dying).step(cause()).item_count == 6
    assert feed_of(books, account_id) == []

    follow(writer)

    assert len(feed_of(books, account_id)) == 6


async def test_feed_writer_stands_by_while_another_one_writes(
    desk: Any, books: Any, database_url: str, writer: FeedWriter
) -> None:
    account_id = await desk.open_account(message_count=1)

    with connect(database_url) as other, other.transaction():
        assert FeedWriter(other).step(cause()).item_count == 1
        assert writer.step(cause()) == FeedPage()

    assert writer.step(cause()) == FeedPage()
    assert len(feed_of(books, account_id)) == 1


async def test_feed_has_each_event_once_while_many_write_and_two_follow(
    desk: Any, books: Any, database_url: str
) -> None:
    accounts = [await desk.open_account(message_count=50) for _ in range(3)]
    done = asyncio.Event()

    def follow_until_done() -> None:
        with connect(database_url) as connection:
            writer = FeedWriter(connection, page_size=7)
            while not done.is_set() or writer.step(cause()).row_count:
                writer.step(cause())

    async with GroupCommit(database_url) as second, GroupCommit(database_url) as third:
        desks = [desk, type(desk)(second), type(desk)(third)]
        following = [asyncio.to_thread(follow_until_done) for _ in range(2)]
        both = asyncio.gather(*following)
        async with asyncio.timeout(SECONDS_MAX):
            await asyncio.gather(
                *(deliver(one, account) for one in desks for account in accounts for _ in range(8))
            )
            done.set()
            await both
    with connect(database_url) as connection:
        await _follow_to_the_end(books, FeedWriter(connection))

    for account_id in accounts:
        told = feed_of(books, account_id)
        assert len({one["id"] for one in told}) == len(told) == 1 + 24 * 5
        by_message: dict[str, list[str]] = {}
        for one in told:
            if one["type"].startswith("message."):
                by_message.setdefault(one["data"]["id"], []).append(one["type"])
        steps = ["message.accepted", "message.submitted", "message.delivered"]
        assert list(by_message.values()) == [steps] * 24


async def _follow_to_the_end(books: Any, writer: FeedWriter) -> None:
    # Other databases of the server may hold the horizon back for a moment.
    async with asyncio.timeout(SECONDS_MAX):
        while books.one("SELECT count(*) FROM account_events") < 3 * (1 + 24 * 5):
            writer.step(cause())
            await asyncio.sleep(0)


@pytest.mark.parametrize("version", [2, 3])
async def test_feed_keeps_what_is_out_of_order_in_the_log(
    desk: Any, books: Any, writer: FeedWriter, tamper: Any, version: int
) -> None:
    account_id = await desk.open_account(message_count=1)
    await deliver(desk, account_id)
    # As if the writer of a step had begun to write after that of a later step.
    last = books.one("SELECT max(xid::text::bigint) FROM message_events")
    tamper(
        "UPDATE message_events SET xid = %s::text::xid8 WHERE originator_version = %s",
        str(last),
        version,
    )
    tamper("UPDATE message_events SET notification_id = 1000 WHERE originator_version = 2")
    writer.page_size = 2

    follow(writer)

    told = [one for one in feed_of(books, account_id) if one["type"].startswith("message.")]
    assert {one["type"]: one["data"]["status"] for one in told} == {
        "message.accepted": "accepted",
        "message.submitted": "submitted",
        "message.delivered": "delivered",
    }


def register(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    patterns: Sequence[str] = ("*",),
    state: str = "enabled",
    since: datetime | None = None,
) -> UUID:
    endpoint_id: UUID = uuid7()
    since = since or datetime(2026, 1, 1, tzinfo=UTC)
    connection.execute(INSERT_ENDPOINT, (endpoint_id, account_id, list(patterns), state, since))
    return endpoint_id


async def test_feed_makes_deliveries_for_endpoints_that_asked(
    desk: Any, books: Any, writer: FeedWriter, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=2)
    other_id = await desk.open_account(message_count=2)
    reports = register(connection, account_id, ["message.delivered", "message.failed"])
    held = register(connection, account_id, ["message.*"], "paused")
    for state in ("disabled", "removed"):
        register(connection, account_id, state=state)
    register(connection, account_id, since=datetime(2100, 1, 1, tzinfo=UTC))
    message_id = await deliver(desk, account_id)
    await deliver(desk, other_id)

    pages = follow(writer)

    made = books.all(
        "SELECT endpoint_id, event_name, account_id, message_id, state, attempt_no,"
        " next_attempt_at <= now() FROM webhook_deliveries ORDER BY event_sequence, endpoint_id"
    )
    assert [(row[0], row[1]) for row in made] == [
        (held, "message.accepted"),
        (held, "message.submitted"),
        (reports, "message.delivered"),
        (held, "message.delivered"),
    ]
    assert {row[2:] for row in made} == {(account_id, message_id, "waiting", 0, True)}
    assert sum(page.delivery_count for page in pages) == 4


async def test_feed_records_the_beginning_of_each_delivery(
    desk: Any, books: Any, writer: FeedWriter, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account()
    endpoint_id = register(connection, account_id)
    await deliver(desk, await _topped_up(desk, account_id))

    follow(writer)

    for delivery_id, topic, state in books.all(
        "SELECT originator_id, topic, state FROM webhook_events"
    ):
        delivery = EventMapper.read(topic, state).mutate(None)
        [row] = books.all(
            "SELECT d.event_id, d.event_sequence, e.name FROM webhook_deliveries AS d"
            " JOIN account_events AS e"
            " ON e.account_id = d.account_id AND e.sequence = d.event_sequence"
            " WHERE d.delivery_id = %s",
            delivery_id,
        )
        subject = delivery.subject
        assert row == (subject.event_id, subject.event_sequence, subject.event_name)
        assert (delivery.state, subject.endpoint_id) == (DeliveryState.WAITING, endpoint_id)
    assert books.one("SELECT count(*) FROM webhook_events") == 6


async def _topped_up(desk: Any, account_id: UUID) -> UUID:
    await desk.ledger.execute(TopUp(account_id, 5_000_000, "payment-1", desk.cause()))
    return account_id


async def test_feed_that_was_set_back_makes_no_delivery_twice(
    desk: Any, books: Any, writer: FeedWriter, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=1)
    register(connection, account_id)
    follow(writer)

    connection.execute("DELETE FROM cursors WHERE name LIKE 'feed.%'")
    follow(writer)

    assert books.one("SELECT count(*) FROM webhook_deliveries") == 1
    assert books.one("SELECT count(*) FROM webhook_events") == 1


@dataclass(frozen=True)
class Disable(PlainCommand):
    """Does to an endpoint what its failures do in the end."""

    endpoint_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.settings.add(self.endpoint_id)

    def decide(self, books: LedgerBooks) -> None:
        endpoint = books.find(WebhookEndpoint, self.endpoint_id)
        assert endpoint is not None
        endpoint.disable(DisabledReason.FAILING, self.cause)


async def test_feed_tells_an_account_that_its_endpoint_was_disabled(
    desk: Any, books: Any, writer: FeedWriter
) -> None:
    account_id = await desk.open_account()
    endpoint_id, other_id = uuid7(), uuid7()
    terms = EndpointTerms("https://example.com", ("webhook_endpoint.*",))
    for one in (endpoint_id, other_id):
        secret = SealedSecrets(bytes(32)).make(uuid7(), SecretKind.V1)
        await desk.ledger.execute(RegisterEndpoint(one, account_id, terms, (secret,), 0, cause()))

    await desk.ledger.execute(Disable(endpoint_id, cause()))
    follow(writer)

    [told] = feed_of(books, account_id)
    assert told["type"] == "webhook_endpoint.disabled"
    assert told["data"]["endpoint_id"] == f"whe_{endpoint_id.hex}"
    assert told["data"]["reason"] == "failing"
    assert books.all("SELECT endpoint_id FROM webhook_deliveries") == [(other_id,)]


@dataclass(frozen=True)
class GiveUp(PlainCommand):
    """Drafts a campaign and thinks better of it."""

    campaign_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.settings.add(self.campaign_id)

    def decide(self, books: LedgerBooks) -> None:
        plan = Plan(name="Offer", sender="DESK", text="Hello")
        ids = self.campaign_id, self.account_id, self.account_id
        campaign = Campaign.draft(*ids, "live", plan, self.cause)
        campaign.cancel("Too early", self.cause)
        books.add(campaign)


async def test_feed_tells_an_account_what_becomes_of_its_campaign(
    desk: Any, books: Any, writer: FeedWriter
) -> None:
    account_id, campaign_id = await desk.open_account(), uuid7()

    await desk.ledger.execute(GiveUp(campaign_id, account_id, cause()))
    follow(writer)

    [told] = feed_of(books, account_id)
    assert told["type"] == "campaign.cancelled"
    assert told["data"]["campaign_id"] == f"cmp_{campaign_id.hex}"
    assert told["data"]["reason"] == "Too early"
