"""Ledgers with campaigns: in memory and on PostgreSQL, with the worker that checks them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.campaign_checking import (
    AccountRules,
    CampaignChecker,
    CampaignChecks,
)
from semalink.application.campaign_commands import (
    CheckCampaign,
    CreateCampaign,
    Owner,
)
from semalink.application.campaign_reading import (
    CampaignRecord,
    Campaigns,
    InlineRecipient,
    RecipientFilter,
)
from semalink.application.ledger import Ledger
from semalink.application.tasks import Task
from semalink.domain.blocklist import Blocklist
from semalink.domain.campaign_plan import Plan
from semalink.domain.campaign_start import Circumstances
from semalink.domain.cause import Cause
from semalink.domain.content_check import Rules
from semalink.domain.price_list import OWN_TERMS
from semalink.domain.rate_card import RateCard
from semalink.domain.sending_window import ALWAYS_OPEN
from semalink_adapters.memory_campaign_drafts import MemoryCampaignDrafts
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.campaign_checks import PostgresCampaignChecks
from semalink_adapters.postgres.campaigns import PostgresCampaigns
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool

PAGE_SIZE = 2
RECIPIENTS_MAX = 12
RULES = AccountRules(
    Rules(
        senders=frozenset({"ACME"}),
        rate_card=RateCard.from_mapping(
            {
                "name": "tests",
                "version": 1,
                "prices": {"KE": {"default": "0.80", "airtel": "0.50"}},
            }
        ),
        blocklist=Blocklist.from_mapping(
            {
                "rules": {
                    "pin_theft": {"phrases": ["send your pin"]},
                    "loans": {"words": ["loan"], "mode": "shadow"},
                    "bets": {"words": ["bet"], "mode": "shadow"},
                }
            }
        ),
    ),
    OWN_TERMS,
)
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
_requests = count(1)


@dataclass
class World:
    """A ledger with one account, its campaigns, and their checks."""

    ledger: Ledger
    campaigns: Campaigns
    checks: CampaignChecks
    #: What a worker has still to do for the account.
    tasks: Callable[[], Awaitable[Sequence[Task]]]
    add_list: Callable[[UUID, Sequence[InlineRecipient]], Awaitable[None]]
    learn_network: Callable[[str, str], Awaitable[None]]
    account_id: UUID = field(default_factory=uuid7)

    @property
    def owner(self) -> Owner:
        return Owner(self.account_id, "live")

    @property
    def checker(self) -> CampaignChecker:
        async def rules_of(_: UUID) -> AccountRules:
            return RULES

        return CampaignChecker(
            self.checks,
            self.ledger,
            rules_of,
            platform=lambda: Circumstances(ALWAYS_OPEN, 10),
            now=lambda: NOW,
            on_tasks=lambda: None,
        )

    async def draft(self, *recipients: InlineRecipient, **plan: Any) -> UUID:
        """Draft a campaign with recipients of its own."""
        upload_id = uuid7()
        await self.campaigns.add_upload(upload_id, recipients)
        facts = {"uploads": (upload_id,), "inline_count": len(recipients), **plan}
        asked = Plan("Offers", "ACME", facts.pop("text", "Habari {name}!"), **facts)
        command = CreateCampaign(uuid7(), self.owner, self.account_id, asked, cause())
        return (await self.ledger.execute(command)).value

    async def check(self, campaign_id: UUID, *, schedules: bool = False) -> None:
        await self.ledger.execute(CheckCampaign(campaign_id, self.owner, cause(), schedules))

    async def work(self) -> None:
        """Do all that is asked of a worker."""
        while tasks := await self.tasks():
            for task in tasks:
                await self.checker.kinds[task.kind](task)

    async def record(self, campaign_id: UUID) -> CampaignRecord:
        found = await self.campaigns.campaign(campaign_id, self.owner)
        assert found is not None
        return found

    async def reasons(self, campaign_id: UUID) -> list[str | None]:
        found = await self.campaigns.recipients(campaign_id, RecipientFilter(), after=-1, limit=100)
        return [one.reason for one in found]


@asynccontextmanager
async def in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    campaigns = MemoryCampaignDrafts(ledger, recipients_max=RECIPIENTS_MAX, page_size=PAGE_SIZE)

    async def tasks() -> Sequence[Task]:
        return campaigns.tasks()

    async def add_list(list_id: UUID, contacts: Sequence[InlineRecipient]) -> None:
        campaigns.lists[world.account_id, list_id] = list(contacts)

    async def learn(number: str, network: str) -> None:
        campaigns.networks[number] = network

    world = World(ledger, campaigns, campaigns, tasks, add_list, learn)
    yield world


@asynccontextmanager
async def on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
        GroupCommit(database_url) as ledger,
        open_pool(database_url) as pool,
    ):

        async def tasks() -> Sequence[Task]:
            rows = await connection.execute(
                "SELECT task_id, queue, kind, account_id, payload FROM tasks WHERE account_id = %s",
                (world.account_id,),
            )
            return [Task(*row) for row in await rows.fetchall()]

        async def add_list(list_id: UUID, contacts: Sequence[InlineRecipient]) -> None:
            await connection.execute(
                "INSERT INTO contact_lists VALUES (%s, %s, 'x', 'active', 'x', now(), now())",
                (list_id, world.account_id),
            )
            for one in contacts:
                await connection.execute(
                    "INSERT INTO contacts (list_id, number, country, network, attributes)"
                    " VALUES (%s, %s, %s, %s, %s)",
                    (
                        list_id,
                        one.number,
                        one.country,
                        one.network,
                        psycopg.types.json.Jsonb(one.variables),
                    ),
                )

        async def learn(number: str, network: str) -> None:
            await connection.execute(
                "INSERT INTO number_networks VALUES (%s, %s, now(), 'test')", (number, network)
            )

        checks = PostgresCampaignChecks(pool, recipients_max=RECIPIENTS_MAX, page_size=PAGE_SIZE)
        world = World(ledger, PostgresCampaigns(pool), checks, tasks, add_list, learn)
        yield world


def cause() -> Cause:
    return Cause("key:contract", NOW, f"req_{next(_requests)}")


def person(place: int, **variables: str) -> InlineRecipient:
    named = variables or {"name": f"Nr {place}"}
    return InlineRecipient(f"+2547120000{place:02}", "KE", "safaricom", named)
