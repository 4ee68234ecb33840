"""What reads of endpoints and feeds promise: the same of those in memory and on PostgreSQL."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.endpoint_reading import EndpointReads
from semalink.application.feed import FeedReads
from semalink.application.ledger import Ledger
from semalink.application.webhook_recovery import SendTest
from semalink.application.webhook_removal import RemovedBook, give_up_removed
from semalink.application.webhooks import (
    ChangeEndpoint,
    EndpointStep,
    MoveEndpoint,
    RegisterEndpoint,
    RotateSecret,
    TermsChange,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.errors import EventsNoLongerKept
from semalink.domain.webhook_endpoint import EndpointTerms, SecretKind
from semalink_adapters.memory_endpoints import MemoryEndpoints, MemoryFeed
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.endpoint_reads import PostgresEndpointReads, PostgresFeedReads
from semalink_adapters.postgres.feed import FeedWriter, connect
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.webhooks.secret_making import SealedSecrets

TERMS = EndpointTerms("https://shop.example.com/hooks", ("message.*",), "Shop", 5, 2)
MAKER = SealedSecrets(bytes(32))


def cause() -> Cause:
    return Cause("key:1", datetime.now(UTC), "req_1")


@dataclass
class World:
    ledger: Ledger
    endpoints: EndpointReads
    removed: RemovedBook
    feed: FeedReads
    #: Bring the feed up to date.
    follow: Callable[[], None]
    #: Drop the oldest events of every account.
    drop: Callable[[int], None]

    async def open(self, top_ups: int = 0) -> UUID:
        account_id = uuid7()
        await self.ledger.execute(
            OpenAccount(account_id, "Acme", Kind.DIRECT, Tier.STARTER, cause())
        )
        for number in range(top_ups):
            await self.ledger.execute(TopUp(account_id, 10, f"p-{account_id}-{number}", cause()))
        self.follow()
        return account_id

    async def register(self, account_id: UUID, *kinds: SecretKind) -> UUID:
        made = tuple(MAKER.make(uuid7(), kind) for kind in kinds or (SecretKind.V1,))
        endpoint_id = uuid7()
        command = RegisterEndpoint(endpoint_id, account_id, TERMS, made, 0, cause())
        return (await self.ledger.execute(command)).value


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        ledger = MemoryLedger()
        feed = MemoryFeed(ledger)

        def drop(count: int) -> None:
            feed.dropped_count = count

        endpoints = MemoryEndpoints(ledger, lambda: datetime.now(UTC))
        yield World(ledger, endpoints, endpoints, feed, lambda: None, drop)
        return
    url = request.getfixturevalue("database_url")
    with ExitStack() as stack:
        connection = stack.enter_context(connect(url))
        writer = FeedWriter(connection)

        def follow() -> None:
            while writer.step(cause()).row_count:
                pass

        def drop_rows(count: int) -> None:
            connection.execute("DELETE FROM account_events WHERE sequence <= %s", (count,))

        async with GroupCommit(url) as group_commit, open_pool(url, size=1) as pool:
            reads = PostgresEndpointReads(pool)
            feed_reads = PostgresFeedReads(pool)
            yield World(group_commit, reads, reads, feed_reads, follow, drop_rows)


async def test_endpoint_is_shown_as_it_was_registered(world: World) -> None:
    account_id = await world.open()
    endpoint_id = await world.register(account_id)

    view = await world.endpoints.endpoint(endpoint_id, account_id)

    assert view is not None
    assert (view.id, view.account_id) == (f"whe_{endpoint_id.hex}", f"acct_{account_id.hex}")
    assert (view.url, view.event_types) == (TERMS.url, ["message.*"])
    assert (view.rate_per_second, view.concurrency, view.description) == (5, 2, "Shop")
    assert (view.state, view.disabled_reason) == ("enabled", None)
    assert view.created_at == view.changed_at
    [secret] = view.secrets
    assert (secret.kind, secret.expires_at) == ("v1", None)


async def test_endpoint_is_shown_as_it_was_changed(world: World) -> None:
    account_id = await world.open()
    endpoint_id = await world.register(account_id)

    change = TermsChange(event_types=("*",), rate_per_second=9)
    await world.ledger.execute(ChangeEndpoint(endpoint_id, account_id, change, cause()))
    await world.ledger.execute(MoveEndpoint(endpoint_id, account_id, EndpointStep.PAUSE, cause()))
    view = await world.endpoints.endpoint(endpoint_id, None)

    assert view is not None
    assert (view.event_types, view.rate_per_second, view.url) == (["*"], 9, TERMS.url)
    assert view.state == "paused"
    assert view.changed_at > view.created_at


async def test_endpoint_is_not_shown_to_others_nor_once_it_was_removed(world: World) -> None:
    account_id = await world.open()
    endpoint_id = await world.register(account_id)

    assert await world.endpoints.endpoint(endpoint_id, UUID(int=1)) is None
    await world.ledger.execute(MoveEndpoint(endpoint_id, account_id, EndpointStep.REMOVE, cause()))

    assert await world.endpoints.endpoint(endpoint_id, account_id) is None
    assert await world.endpoints.endpoints(account_id, before=None, limit=9) == []
    assert await world.endpoints.endpoint_count(account_id) == 0


async def test_endpoints_are_listed_newest_first_of_one_account_or_of_all(world: World) -> None:
    mine, other = await world.open(), await world.open()
    first, second = [await world.register(mine) for _ in range(2)]
    third = await world.register(other)

    def ids(*made: UUID) -> list[str]:
        return [f"whe_{one.hex}" for one in made]

    listed = await world.endpoints.endpoints(mine, before=None, limit=9)
    rest = await world.endpoints.endpoints(mine, before=second, limit=9)
    everyone = await world.endpoints.endpoints(None, before=None, limit=2)

    assert [one.id for one in listed] == ids(second, first)
    assert [one.id for one in rest] == ids(first)
    assert [one.id for one in everyone] == ids(third, second)
    assert await world.endpoints.endpoint_count(mine) == 2


async def test_removed_endpoint_has_what_waits_for_it_given_up(world: World) -> None:
    account_id = await world.open()
    removed, kept = [await world.register(account_id) for _ in range(2)]
    for endpoint_id in (removed, removed, kept):
        await world.ledger.execute(SendTest(uuid7(), endpoint_id, account_id, cause()))

    async def give_up() -> int:
        return await give_up_removed(world.removed, world.ledger, cause)

    assert await give_up() == 0
    await world.ledger.execute(MoveEndpoint(removed, account_id, EndpointStep.REMOVE, cause()))

    assert await give_up() == 2
    assert await give_up() == 0


async def test_secrets_are_shown_newest_first_while_they_sign(world: World) -> None:
    account_id = await world.open()
    endpoint_id = await world.register(account_id)

    for kept in (timedelta(hours=1), timedelta()):
        made = MAKER.make(uuid7(), SecretKind.V1)
        command = RotateSecret(endpoint_id, account_id, made, kept, cause())
        await world.ledger.execute(command)
        view = await world.endpoints.endpoint(endpoint_id, account_id)
        assert view is not None
        expected = 2 if kept else 1
        assert len(view.secrets) == expected
        assert view.secrets[0].id == f"whs_{made.secret.secret_id.hex}"


async def test_verification_keys_are_those_of_key_pairs(world: World) -> None:
    account_id = await world.open()
    endpoint_id = await world.register(account_id, SecretKind.V1, SecretKind.V1A)

    [key] = await world.endpoints.verification_keys(endpoint_id)

    assert len(key.public_key) == 32
    assert key.expires_at is None
    assert await world.endpoints.verification_keys(uuid7()) == []


def sequences(payloads: Any) -> list[int]:
    return [json.loads(payload)["sequence"] for payload in payloads]


async def test_feed_goes_on_behind_a_sequence(world: World) -> None:
    account_id = await world.open(top_ups=5)
    await world.open(top_ups=2)

    first = await world.feed.after(account_id, 0, None, 2)
    rest = await world.feed.after(account_id, first.next_after, None, 10)

    assert (sequences(first.payloads), first.next_after, first.has_more) == ([1, 2], 2, True)
    assert (sequences(rest.payloads), rest.next_after, rest.has_more) == ([3, 4, 5], 5, False)


async def test_feed_passes_over_other_names(world: World) -> None:
    account_id = await world.open(top_ups=3)

    none = await world.feed.after(account_id, 1, ["message.accepted"], 10)
    some = await world.feed.after(account_id, 1, ["credit.topped_up"], 1)

    assert (none.payloads, none.next_after, none.has_more) == ([], 3, False)
    assert (sequences(some.payloads), some.next_after, some.has_more) == ([2], 2, True)


async def test_feed_of_nobody_and_beyond_the_end_is_empty(world: World) -> None:
    account_id = await world.open(top_ups=1)

    nobody = await world.feed.after(UUID(int=1), 0, None, 10)
    beyond = await world.feed.after(account_id, 9, None, 10)

    assert (list(nobody.payloads), nobody.next_after, nobody.has_more) == ([], 0, False)
    assert (list(beyond.payloads), beyond.next_after, beyond.has_more) == ([], 9, False)


@pytest.mark.parametrize("dropped", [2, 3])
async def test_feed_refuses_to_leave_out_what_was_dropped(world: World, dropped: int) -> None:
    account_id = await world.open(top_ups=3)
    world.drop(dropped)

    with pytest.raises(EventsNoLongerKept) as refused:
        await world.feed.after(account_id, 1, None, 10)
    kept = await world.feed.after(account_id, dropped, None, 10)

    assert refused.value.oldest_sequence == dropped + 1
    assert len(kept.payloads) == 3 - dropped
