"""What any ledger promises of sender ids and content rules."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import IssueApiKey, IssuedKey, OpenAccount
from semalink.application.content_reading import (
    ContentRuleReads,
    SenderIdFilter,
    SenderIdReads,
)
from semalink.application.content_rules import RemoveContentRule, SetContentRule
from semalink.application.history import Place
from semalink.application.ledger import Ledger
from semalink.application.reading import Reads
from semalink.application.sender_ids import (
    ApproveSender,
    ChangeSenderClass,
    RejectSender,
    RequestSenderId,
    WithdrawSender,
)
from semalink.application.sending import AcceptMessage
from semalink.domain.account import Kind, Tier
from semalink.domain.blocklist import BlocklistRule, RuleMode
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Mode
from semalink.domain.errors import ContentBlocked
from semalink.domain.ids import MESSAGE_PREFIX, format_id
from semalink.domain.sender_id import SENDER_ID_PREFIX, SenderClass, sender_id_of
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_content import MemoryContentRules, MemorySenderIdReads
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.content_reads import (
    PostgresContentRules,
    PostgresSenderIdReads,
)
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads

PROMOTIONAL, TRANSACTIONAL = SenderClass.PROMOTIONAL, SenderClass.TRANSACTIONAL
START = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)

_numbers = count(1)


@dataclass
class World:
    """A ledger, and what tells of it."""

    ledger: Ledger
    reads: Reads
    sender_ids: SenderIdReads
    rules: ContentRuleReads

    async def open_account(self) -> UUID:
        account_id = uuid7()
        command = OpenAccount(account_id, "Acme", Kind.DIRECT, Tier.STARTER, cause())
        await self.ledger.execute(command)
        return account_id

    async def promotional(self, account_id: UUID) -> tuple[set[str], dict[str, str | None]]:
        """Return what a new key of the account may send under, and what is promotional of it."""
        key_hash = sha256(uuid7().bytes).digest()
        key = IssuedKey(uuid7(), "key", ["messages:send"], "live", key_hash.hex(), "1234")
        await self.ledger.execute(IssueApiKey(account_id, key, cause()))
        caller = await self.reads.caller(key_hash)
        assert caller is not None
        return set(caller.senders), dict(caller.promotional)


def cause() -> Cause:
    number = next(_numbers)
    return Cause("operator:tests", START + timedelta(seconds=number), f"req_{number}")


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    reads = MemoryReads(ledger)
    yield World(ledger, reads, MemorySenderIdReads(ledger), MemoryContentRules(ledger))


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    async with GroupCommit(database_url) as ledger, open_pool(database_url) as pool:
        yield World(
            ledger, PostgresReads(pool), PostgresSenderIdReads(pool), PostgresContentRules(pool)
        )


@pytest.fixture(params=[_in_memory, _on_postgres], ids=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with request.param(request.getfixturevalue) as world:
        yield world


def draft(account_id: UUID, **changes: Any) -> Draft:
    made = Draft(
        account_id=account_id, billing_account_id=account_id, mode=Mode.TEST, to="+254712345678",
        country="KE", network=None, text="Karibu", sender="ACME", lane="normal",
        encoding="GSM-7", segments=1, price_micros=0, expires_at=START + timedelta(days=1),
        metadata={},
    )  # fmt: skip
    return replace(made, **changes)


async def test_sender_id_is_used_only_while_it_is_approved(world: World) -> None:
    account_id = await world.open_account()
    sender_id = sender_id_of(account_id, "OFFERS")
    request = RequestSenderId(account_id, "OFFERS", PROMOTIONAL, "Offers.", cause(), "STOP 40123")

    await world.ledger.execute(request)
    while_waiting = (
        await world.promotional(account_id),
        await world.sender_ids.waiting_count(account_id),
    )
    await world.ledger.execute(
        ApproveSender(account_id, "OFFERS", cause(), PROMOTIONAL, "Letter.", "STOP 40123")
    )
    approved = await world.promotional(account_id)
    await world.ledger.execute(WithdrawSender(account_id, "OFFERS", "Complaints.", cause()))

    view = await world.sender_ids.sender_id(sender_id, account_id)
    assert while_waiting == ((set(), {}), 1)
    assert approved == ({"OFFERS"}, {"OFFERS": "STOP 40123"})
    assert await world.promotional(account_id) == (set(), {})
    assert view is not None
    assert (view.id, view.state) == (format_id(SENDER_ID_PREFIX, sender_id), "withdrawn")
    assert (view.reason, view.sender_class) == ("Complaints.", "promotional")
    assert view.decided_at is not None
    assert await world.sender_ids.sender_id(sender_id, uuid7()) is None


async def test_sender_id_that_anyone_uses_for_promotion_is_promotional_for_all(
    world: World,
) -> None:
    first, second = await world.open_account(), await world.open_account()
    name = f"S{next(_numbers)}"
    await world.ledger.execute(ApproveSender(first, name, cause(), TRANSACTIONAL, "Receipts."))
    before = await world.promotional(first)

    await world.ledger.execute(ApproveSender(second, name, cause(), TRANSACTIONAL, "Receipts."))
    await world.ledger.execute(ChangeSenderClass(second, name, PROMOTIONAL, "Offers.", cause()))

    shown = await world.sender_ids.sender_ids(
        SenderIdFilter(sender=name, sender_class="promotional"), before=None, limit=10
    )
    assert before == ({name}, {})
    assert await world.promotional(first) == ({name}, {name: None})
    assert len(shown) == 2


async def test_sender_id_is_of_one_class_whatever_its_case(world: World) -> None:
    first, second = await world.open_account(), await world.open_account()
    name = f"Shop{next(_numbers)}"
    await world.ledger.execute(ApproveSender(first, name, cause(), TRANSACTIONAL, "Receipts."))

    promotional = ApproveSender(second, name.upper(), cause(), PROMOTIONAL, "Offers.")
    await world.ledger.execute(promotional)

    [shown] = await world.sender_ids.sender_ids(SenderIdFilter(sender=name), before=None, limit=10)
    assert await world.promotional(first) == ({name}, {name: None})
    assert shown.sender_class == "promotional"


async def test_sender_ids_are_listed_newest_first_page_by_page(world: World) -> None:
    account_id = await world.open_account()
    for sender in ("ONE", "TWO", "THREE"):
        command = RequestSenderId(account_id, sender, TRANSACTIONAL, "Receipts.", cause())
        await world.ledger.execute(command)
    await world.ledger.execute(RejectSender(account_id, "TWO", "No letter.", cause()))
    wanted = SenderIdFilter(account_id)

    [newest] = await world.sender_ids.sender_ids(wanted, before=None, limit=1)
    place = Place(newest.requested_at, 0, sender_id_of(account_id, "THREE"), 0)
    rest = await world.sender_ids.sender_ids(wanted, before=place, limit=10)
    waiting = await world.sender_ids.sender_ids(
        SenderIdFilter(account_id, "requested"), before=None, limit=10
    )

    assert [one.sender for one in (newest, *rest)] == ["THREE", "TWO", "ONE"]
    assert [one.sender for one in waiting] == ["THREE", "ONE"]


async def test_asking_again_after_a_rejection_waits_for_a_new_decision(world: World) -> None:
    account_id = await world.open_account()
    for command in (
        RequestSenderId(account_id, "ACME", TRANSACTIONAL, "Receipts.", cause()),
        RejectSender(account_id, "ACME", "No letter.", cause()),
        RequestSenderId(account_id, "ACME", PROMOTIONAL, "With a letter.", cause()),
    ):
        await world.ledger.execute(command)

    [view] = await world.sender_ids.sender_ids(SenderIdFilter(account_id), before=None, limit=2)

    assert (view.state, view.sender_class) == ("requested", "promotional")
    assert view.reason == "With a letter."


async def test_managed_rules_are_those_that_were_set_and_not_removed(world: World) -> None:
    name = f"rule_{next(_numbers)}"
    rule = BlocklistRule(name, ("free money",), ("bet",), RuleMode.SHADOW, "Not sent.")
    changed = replace(rule, mode=RuleMode.BLOCK, words=())

    await world.ledger.execute(SetContentRule(rule, "Complaints.", cause()))
    first = [one for one in await world.rules.managed_rules() if one.name == name]
    await world.ledger.execute(SetContentRule(changed, "Watched long enough.", cause()))
    second = [one for one in await world.rules.managed_rules() if one.name == name]
    [record] = [one for one in await world.rules.rule_records() if one.name == name]
    await world.ledger.execute(RemoveContentRule(name, "No longer needed.", cause()))

    assert (first, second) == ([rule], [changed])
    assert (record.mode, record.phrases, record.words) == ("block", ["free money"], [])
    assert record.changed_by == "operator:tests"
    assert name not in [one.name for one in await world.rules.managed_rules()]


async def test_what_rules_found_is_listed_newest_first_and_counted(world: World) -> None:
    account_id, message_id = await world.open_account(), uuid7()
    name = f"rule_{next(_numbers)}"
    shadowed = draft(account_id, shadow_rules=(name,))
    blocked = ContentBlocked(name, "Not sent.")
    await world.ledger.execute(AcceptMessage(message_id, account_id, shadowed, cause(), None))
    with pytest.raises(ContentBlocked):
        await world.ledger.execute(
            AcceptMessage(uuid7(), account_id, blocked, cause(), None, account_id)
        )

    [(place, newest)] = await world.rules.matches(name, None, before=None, limit=1)
    [(_, oldest)] = await world.rules.matches(name, None, before=place, limit=5)
    shadow_only = await world.rules.matches(name, "shadow", before=None, limit=5)
    counts = await world.rules.match_counts(START)

    assert (newest.mode, newest.message_id) == ("block", None)
    assert newest.refusal_id is not None
    assert (oldest.mode, oldest.refusal_id) == ("shadow", None)
    assert oldest.message_id == format_id(MESSAGE_PREFIX, message_id)
    assert [view for _, view in shadow_only] == [oldest]
    assert (counts[name, "block"], counts[name, "shadow"]) == (1, 1)
