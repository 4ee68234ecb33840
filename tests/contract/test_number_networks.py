"""What any ledger promises of networks that receipts and reports tell."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.learned_networks import LearnedNetworks
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sending import AcceptMessage
from semalink.application.submission import Job, Policy, RecordReceipt, StartSubmission
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_networks import MemoryNetworks
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.number_networks import PostgresNetworks
from semalink_adapters.postgres.queries import open_pool

SAFARICOM, AIRTEL = "63902", "63903"

#: Of a prefix that Safaricom issued.
_numbers = count(254_722_000_000)


@dataclass
class World:
    """A ledger with one account, and what it learned of numbers."""

    ledger: Ledger
    networks: LearnedNetworks
    account_id: UUID


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    yield World(ledger, MemoryNetworks(ledger), uuid7())


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    async with GroupCommit(database_url) as ledger, open_pool(database_url) as pool:
        yield World(ledger, PostgresNetworks(pool), uuid7())


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
        yield world


@pytest.fixture
def number() -> str:
    """A number that no other test writes to."""
    return f"+{next(_numbers)}"


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
async def test_networks_of_tells_what_the_prefix_does_not(
    world: World, number: str, told: dict[str, str]
) -> None:
    await _deliver(world, number, **told)

    assert await world.networks.networks_of([number, "+254711000000"]) == {number: "airtel"}


@pytest.mark.parametrize(
    "told", [{"in_report": SAFARICOM}, {"in_report": "99999"}, {}], ids=["same", "unknown", "none"]
)
async def test_networks_of_tells_nothing_when_the_prefix_says_it_all(
    world: World, number: str, told: dict[str, str]
) -> None:
    await _deliver(world, number, **told)

    assert await world.networks.networks_of([number]) == {}


async def test_networks_of_tells_the_last_one_when_a_number_moved_back(
    world: World, number: str
) -> None:
    await _deliver(world, number, in_receipt=AIRTEL, in_report=AIRTEL)
    await _deliver(world, number, in_report=SAFARICOM)

    assert await world.networks.networks_of([number]) == {number: "safaricom"}


async def test_networks_of_tells_nothing_of_messages_of_test_keys(
    world: World, number: str
) -> None:
    await _deliver(world, number, in_report=AIRTEL, mode="test")

    assert await world.networks.networks_of([number]) == {}
