"""What any ledger promises of opt-outs: neither messaged nor charged."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ledger import Ledger
from semalink.application.opt_out_reading import OptOutFilter, OptOutReads
from semalink.application.opt_outs import LiftOptOut, RecordOptOuts, RejectUnwanted
from semalink.application.sending import AcceptBatch, AcceptMessage
from semalink.application.submission import (
    Job,
    Policy,
    Ready,
    RecordUnknownOutcome,
    Settled,
    StartSubmission,
)
from semalink.application.unwanted import Unwanted
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Lane
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.domain.opt_out_errors import RecipientOptedOut
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_opt_outs import MemoryOptOuts
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.opt_outs import PostgresOptOuts
from semalink_adapters.postgres.queries import open_pool

PRICE_MICROS = 800_000
CREDITS_MICROS = 10 * PRICE_MICROS

_numbers = count(254_712_000_000)
_requests = count(1)


@dataclass
class World:
    """A ledger with one account, and what tells of it."""

    ledger: Ledger
    reads: OptOutReads
    #: Posted and reserved micros of an account.
    balance: Callable[[UUID], tuple[int, int]]
    account_id: UUID


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()

    def balance(account_id: UUID) -> tuple[int, int]:
        head = ledger.balance(account_id)
        return head.posted_micros, head.reserved_micros

    yield World(ledger, MemoryOptOuts(ledger), balance, uuid7())


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    with psycopg.connect(database_url, autocommit=True) as connection:

        def balance(account_id: UUID) -> tuple[int, int]:
            statement = "SELECT posted_micros, reserved_micros FROM credit_heads"
            row = connection.execute(f"{statement} WHERE account_id = %s", (account_id,)).fetchone()
            assert row is not None
            return row[0], row[1]

        async with GroupCommit(database_url) as ledger, open_pool(database_url) as pool:
            yield World(ledger, PostgresOptOuts(pool), balance, uuid7())


@pytest.fixture(
    params=[pytest.param(_in_memory, id="memory"), pytest.param(_on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with an account that holds credits for ten messages."""
    async with request.param(request.getfixturevalue) as world:
        opened = OpenAccount(world.account_id, "Duka", Kind.DIRECT, Tier.STARTER, _cause())
        await world.ledger.execute(opened)
        reference = f"payment {world.account_id}"
        await world.ledger.execute(TopUp(world.account_id, CREDITS_MICROS, reference, _cause()))
        yield world


@pytest.fixture
def number() -> str:
    """A number that no other test writes to."""
    return f"+{next(_numbers)}"


def _cause() -> Cause:
    return Cause("key:contract", datetime.now(UTC), f"req_{next(_requests)}")


def _draft(world: World, number: str, sender: str = "ACME", **changes: Any) -> Draft:
    return Draft(
        account_id=world.account_id,
        billing_account_id=world.account_id,
        **{"mode": "live", "lane": Lane.NORMAL, **changes},
        to=number,
        country="KE",
        network="safaricom",
        text="Hello",
        sender=sender,
        encoding="GSM-7",
        segments=1,
        price_micros=PRICE_MICROS,
        expires_at=datetime.now(UTC) + timedelta(hours=24),
        metadata={},
    )


async def _accept(world: World, number: str, sender: str = "ACME", **changes: Any) -> Job:
    draft = _draft(world, number, sender, **changes)
    command = AcceptMessage(uuid7(), world.account_id, draft, _cause(), None)
    await world.ledger.execute(command)
    return Job(command.message_id, world.account_id, world.account_id)


async def _opt_out(
    world: World, *subjects: OptOutSubject, source: OptOutSource = OptOutSource.API
) -> list[UUID]:
    await world.ledger.execute(RecordOptOuts(subjects, source, "told by phone", _cause()))
    return [subject.opt_out_id for subject in subjects]


async def _start(world: World, job: Job, request_id: str = "job_1") -> Any:
    cause = Cause("worker:sms", datetime.now(UTC), request_id)
    return (await world.ledger.execute(StartSubmission(job, None, Policy(), cause))).value


@pytest.mark.parametrize("mode", ["live", "test"])
@pytest.mark.parametrize("sender", ["ACME", "acme", ""])
@pytest.mark.parametrize("is_of_platform", [False, True])
async def test_accept_refuses_who_opted_out_and_charges_nothing(
    world: World, number: str, sender: str, mode: str, *, is_of_platform: bool
) -> None:
    owner = None if is_of_platform else world.account_id
    await _opt_out(world, OptOutSubject(owner, sender, number))

    with pytest.raises(RecipientOptedOut):
        await _accept(world, number, mode=mode)

    assert world.balance(world.account_id) == (CREDITS_MICROS, 0)


async def test_accept_takes_what_no_opt_out_is_about(world: World, number: str) -> None:
    await _opt_out(
        world,
        OptOutSubject(world.account_id, "SHOP", number),
        OptOutSubject(uuid7(), "ACME", number),
    )

    await _accept(world, number)

    assert world.balance(world.account_id) == (CREDITS_MICROS, PRICE_MICROS)


async def test_accept_takes_the_number_again_once_the_opt_out_was_lifted(
    world: World, number: str
) -> None:
    [opt_out_id] = await _opt_out(world, OptOutSubject(world.account_id, "ACME", number))
    lift = LiftOptOut(opt_out_id, world.account_id, "asked for it", None, _cause())
    await world.ledger.execute(lift)

    job = await _accept(world, number)

    assert isinstance(await _start(world, job), Ready)


async def test_accept_batch_refuses_only_who_opted_out(world: World, number: str) -> None:
    await _opt_out(world, OptOutSubject(world.account_id, "", number))
    drafts = [_draft(world, number), _draft(world, f"+{next(_numbers)}")]

    command = AcceptBatch([uuid7(), uuid7()], world.account_id, drafts, _cause(), None)
    outcome = (await world.ledger.execute(command)).value

    assert (outcome.accepted_count, outcome.refused_count) == (1, 1)
    refused = outcome.items[0].refused
    assert refused is not None
    assert (refused.code, refused.pointer) == ("recipient_opted_out", "/to")


async def test_start_rejects_and_releases_what_waits_when_the_recipient_opted_out(
    world: World, number: str
) -> None:
    job = await _accept(world, number)
    await _opt_out(world, OptOutSubject(None, "acme", number))

    step = await _start(world, job)
    await world.ledger.execute(RejectUnwanted(job, _cause()))

    assert step == Unwanted()
    assert await _start(world, job) == Settled()
    assert world.balance(world.account_id) == (CREDITS_MICROS, 0)


async def test_start_tries_no_other_route_when_the_recipient_opted_out(
    world: World, number: str
) -> None:
    job = await _accept(world, number, lane=Lane.PRIORITY)
    await _start(world, job)
    await world.ledger.execute(RecordUnknownOutcome(job, 1, Policy(), _cause()))
    await _opt_out(world, OptOutSubject(world.account_id, "ACME", number))

    step = await _start(world, job, "job_2")
    await world.ledger.execute(RejectUnwanted(job, _cause()))

    # The first route may hold it, so that its credits stay reserved until a report comes.
    assert step == Settled()
    assert world.balance(world.account_id) == (CREDITS_MICROS, PRICE_MICROS)


async def test_reject_unwanted_changes_nothing_when_the_opt_out_was_lifted(
    world: World, number: str
) -> None:
    job = await _accept(world, number)

    await world.ledger.execute(RejectUnwanted(job, _cause()))

    assert isinstance(await _start(world, job), Ready)


async def test_opt_outs_lists_what_is_asked_for(world: World, number: str) -> None:
    other = f"+{next(_numbers)}"
    owner = world.account_id
    first, second = OptOutSubject(owner, "ACME", number), OptOutSubject(owner, "", other)
    await _opt_out(world, first, second)
    await _opt_out(world, OptOutSubject(owner, "SHOP", number), source=OptOutSource.REPORT)
    await _opt_out(world, OptOutSubject(uuid7(), "SHOP", number))
    lift = LiftOptOut(first.opt_out_id, owner, "asked for it", None, _cause())
    lifted = (await world.ledger.execute(lift)).value

    async def listed(**asked: Any) -> list[tuple[str, str | None]]:
        wanted = OptOutFilter(account_id=owner, **asked)
        found = await world.reads.opt_outs(wanted, before=None, limit=10)
        return [(view.number, view.sender) for _, view in found]

    of_report, of_all, of_acme = (number, "SHOP"), (other, None), (number, "ACME")
    assert await listed() == [of_report, of_all, of_acme]
    assert await listed(number=number) == [of_report, of_acme]
    assert await listed(sender="acme") == [of_acme]
    assert await listed(source="blacklisted_report") == [of_report]
    assert await listed(active=True) == [of_report, of_all]
    assert await world.reads.opt_out(first.opt_out_id, owner) == lifted
    assert await world.reads.opt_out(first.opt_out_id, uuid7()) is None


async def test_opt_outs_goes_on_below_a_place(world: World, number: str) -> None:
    owner = world.account_id
    senders = ["A", "B", "C"]
    await _opt_out(world, *(OptOutSubject(owner, sender, number) for sender in senders))
    wanted = OptOutFilter(account_id=owner)

    page = await world.reads.opt_outs(wanted, before=None, limit=2)
    rest = await world.reads.opt_outs(wanted, before=page[-1][0], limit=2)

    assert [view.sender for _, view in [*page, *rest]] == ["C", "B", "A"]
