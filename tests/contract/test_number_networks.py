"""What any ledger promises of networks that receipts and reports tell."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.contact_reading import Contacts
from semalink.application.contacts import CreateContactList
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sending import AcceptMessage
from semalink.application.submission import Job, Policy, RecordReceipt, StartSubmission
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.phone_number import parse
from semalink_adapters.memory_contacts import MemoryContacts
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.contacts import PostgresContacts
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool

SAFARICOM, AIRTEL = "63902", "63903"

#: Of a prefix that Safaricom issued.
_numbers = count(254_722_000_000)


@dataclass
class World:
    """A ledger with one account, which has a list of contacts."""

    ledger: Ledger
    contacts: Contacts
    account_id: UUID
    list_id: UUID = field(default_factory=uuid7)

    async def networks(self) -> dict[str, str | None]:
        found = await self.contacts.contacts(self.list_id, after=None, limit=10)
        return {one.number: one.network for one in found}


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    yield World(ledger, MemoryContacts(ledger), uuid7())


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    async with GroupCommit(database_url) as ledger, open_pool(database_url) as pool:
        yield World(ledger, PostgresContacts(pool), uuid7())


@pytest.fixture(
    params=[pytest.param(_in_memory, id="memory"), pytest.param(_on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with an account that holds credits."""
    async with request.param(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, _cause())
        await world.ledger.execute(opened)
        paid = TopUp(world.account_id, 10_000_000, f"payment {world.account_id}", _cause())
        await world.ledger.execute(paid)
        made = CreateContactList(world.list_id, world.account_id, "Shop", _cause())
        await world.ledger.execute(made)
        yield world


@pytest.fixture
async def number(world: World) -> str:
    """A contact of the list, whose number no other test writes to."""
    number = f"+{next(_numbers)}"
    await world.contacts.put_contact(world.list_id, parse(number), {})
    return number


def _cause() -> Cause:
    return Cause("worker:contract", datetime.now(UTC), "job_1")


async def _deliver(
    world: World,
    number: str,
    *,
    in_receipt: str | None = None,
    in_report: str | None = None,
    mode: str = "live",
) -> None:
    account_id, message_id = world.account_id, uuid7()
    draft = Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode=mode,
        to=number,
        country="KE",
        network="safaricom",
        text="Hello",
        sender="ACME",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=800_000,
        expires_at=datetime.now(UTC) + timedelta(hours=24),
        metadata={},
    )
    await world.ledger.execute(AcceptMessage(message_id, account_id, draft, _cause(), None))
    job = Job(message_id, account_id, account_id)
    await world.ledger.execute(StartSubmission(job, None, Policy(), _cause()))
    receipt = Receipt(f"ref-{message_id.hex}", network=in_receipt)
    await world.ledger.execute(RecordReceipt(job, 1, "celcom", receipt, _cause()))
    report = DeliveryReport(receipt.reference, ReportState.DELIVERED, "Done", network=in_report)
    await world.ledger.execute(RecordReport(message_id, account_id, "celcom", report, _cause()))


@pytest.mark.parametrize("told", [{"in_receipt": AIRTEL}, {"in_report": AIRTEL}], ids=str)
async def test_contact_has_the_network_that_was_told_since_it_came_on_its_list(
    world: World, number: str, told: dict[str, str]
) -> None:
    await _deliver(world, number, **told)

    by_network = {
        network: await world.contacts.contacts(world.list_id, after=None, limit=10, network=network)
        for network in ("airtel", "safaricom")
    }
    assert await world.networks() == {number: "airtel"}
    assert [one.number for one in by_network["airtel"]] == [number]
    assert by_network["safaricom"] == []


@pytest.mark.parametrize(
    "told", [{"in_report": SAFARICOM}, {"in_report": "99999"}, {}], ids=["same", "unknown", "none"]
)
async def test_contact_has_the_network_of_its_prefix_when_nothing_else_was_told(
    world: World, number: str, told: dict[str, str]
) -> None:
    await _deliver(world, number, **told)

    assert await world.networks() == {number: "safaricom"}


async def test_contact_has_the_last_network_when_its_number_moved_back(
    world: World, number: str
) -> None:
    await _deliver(world, number, in_receipt=AIRTEL, in_report=AIRTEL)
    await _deliver(world, number, in_report=SAFARICOM)

    assert await world.networks() == {number: "safaricom"}


async def test_contact_learns_no_network_of_messages_of_test_keys(
    world: World, number: str
) -> None:
    await _deliver(world, number, in_report=AIRTEL, mode="test")

    assert await world.networks() == {number: "safaricom"}
