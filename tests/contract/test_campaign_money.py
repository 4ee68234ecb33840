"""One reservation pays for the messages of a campaign, on the fake and on the real thing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.opt_outs import NameRecipient, RecordOptOuts, RejectUnwanted
from semalink.application.ports import Receipt
from semalink.application.submission import Job, Policy, RecordReceipt, StartSubmission
from semalink.application.unwanted import Unwanted
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.draft import Draft
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOutSource
from semalink_adapters.aggregators.africas_talking_reports import parse_reports
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit

COST_MICROS, PRICE_MICROS = 800_000, 1_200_000


@dataclass(frozen=True)
class Start(PlainCommand):
    """Reserve for a campaign of so many messages, and accept them."""

    campaign_id: UUID
    message_ids: list[UUID]
    account_id: UUID
    payer_id: UUID
    cause: Cause
    refunded_on: tuple[str, ...] | None = None

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.payer_id)
        if self.account_id != self.payer_id:
            needs.spending.add((self.account_id, month_of(self.cause.at)))

    def decide(self, books: Books) -> None:
        count = len(self.message_ids)
        on_behalf = None
        if self.account_id != self.payer_id:
            on_behalf = OnBehalf(self.account_id, count * PRICE_MICROS, month_of(self.cause.at))
        books.credit_account(self.payer_id).reserve(
            self.campaign_id,
            count * COST_MICROS,
            self.cause,
            on_behalf=on_behalf,
            campaign_id=self.campaign_id,
        )
        for message_id in self.message_ids:
            draft = Draft(
                self.account_id, self.payer_id, "live", "+254712345678", "KE", "safaricom", "Hi",
                "DUKA", "normal", "gsm7", 1, PRICE_MICROS, self.cause.at + timedelta(days=1), {},
                cost_micros=COST_MICROS, refunded_on=self.refunded_on,
                campaign_id=self.campaign_id,
            )  # fmt: skip
            books.add(Message.accept(message_id, draft, self.cause))


@dataclass(frozen=True)
class Release(PlainCommand):
    """Give back what the campaign did not spend; answers with it."""

    campaign_id: UUID
    payer_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.payer_id)
        needs.reservations.add(self.campaign_id)

    def decide(self, books: Books) -> int:
        return books.credit_account(self.payer_id).release(self.campaign_id, self.cause)


@dataclass(frozen=True)
class Look(PlainCommand):
    """Answers with posted and reserved, and what stays of a reservation."""

    campaign_id: UUID
    payer_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.payer_id)
        needs.reservations.add(self.campaign_id)

    def decide(self, books: Books) -> Any:
        account = books.credit_account(self.payer_id)
        return account.posted_micros, account.reserved_micros, dict(account.open_reservations)


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    async with GroupCommit(request.getfixturevalue("database_url")) as real:
        yield real


def cause(actor: str = "operator:1") -> Cause:
    return Cause(actor, datetime.now(UTC), f"req_{uuid7().hex}")


async def opened(ledger: Ledger, kind: Kind, credits_micros: int = 0, **more: Any) -> UUID:
    account_id = uuid7()
    await ledger.execute(OpenAccount(account_id, "Duka", kind, Tier.STARTER, cause(), **more))
    if credits_micros:
        await ledger.execute(TopUp(account_id, credits_micros, f"p-{account_id.hex}", cause()))
    return account_id


async def submit(ledger: Ledger, job: Job, reference: str) -> None:
    started = cause("worker:sms")
    await ledger.execute(StartSubmission(job, None, Policy(), started))
    receipt = Receipt(reference)
    await ledger.execute(RecordReceipt(job, 1, "celcom", receipt, cause("worker:sms")))


async def test_each_message_is_charged_to_the_campaign_and_the_rest_released(
    ledger: Ledger,
) -> None:
    payer_id = await opened(ledger, Kind.DIRECT, 10 * COST_MICROS)
    campaign_id, message_ids = uuid7(), [uuid7() for _ in range(3)]
    await ledger.execute(Start(campaign_id, message_ids, payer_id, payer_id, cause()))

    for one in message_ids[:2]:
        await submit(ledger, Job(one, payer_id, payer_id, campaign_id), f"ref-{one.hex}")
    released = (await ledger.execute(Release(campaign_id, payer_id, cause()))).value

    assert released == COST_MICROS
    looked = (await ledger.execute(Look(campaign_id, payer_id, cause()))).value
    assert looked == (8 * COST_MICROS, 0, {})


async def test_message_of_a_campaign_costs_nothing_when_its_recipient_opted_out(
    ledger: Ledger,
) -> None:
    payer_id = await opened(ledger, Kind.DIRECT, 10 * COST_MICROS)
    campaign_id, message_id = uuid7(), uuid7()
    await ledger.execute(Start(campaign_id, [message_id], payer_id, payer_id, cause()))
    job = Job(message_id, payer_id, payer_id, campaign_id)
    subject = (await ledger.execute(NameRecipient(message_id, cause()))).value
    await ledger.execute(RecordOptOuts((subject,), OptOutSource.API, "", cause()))

    step = (await ledger.execute(StartSubmission(job, None, Policy(), cause()))).value
    await ledger.execute(RejectUnwanted(job, cause()))
    released = (await ledger.execute(Release(campaign_id, payer_id, cause()))).value

    assert step == Unwanted()
    assert released == COST_MICROS
    looked = (await ledger.execute(Look(campaign_id, payer_id, cause()))).value
    assert looked == (10 * COST_MICROS, 0, {})


@pytest.mark.parametrize("refunded_on", [None, (), ("failed",)])
async def test_message_of_a_campaign_is_refunded_by_any_rule_when_a_report_tells_an_opt_out(
    ledger: Ledger, refunded_on: tuple[str, ...] | None
) -> None:
    payer_id = await opened(ledger, Kind.DIRECT, 10 * COST_MICROS)
    campaign_id, message_id = uuid7(), uuid7()
    await ledger.execute(Start(campaign_id, [message_id], payer_id, payer_id, cause(), refunded_on))
    await submit(ledger, Job(message_id, payer_id, payer_id, campaign_id), "blacklisted")
    body = b"id=blacklisted&status=Failed&failureReason=UserInBlackList"
    [report] = parse_reports("africastalking", body)

    await ledger.execute(
        RecordReport(message_id, payer_id, "africastalking", report, cause(), campaign_id)
    )

    looked = (await ledger.execute(Look(campaign_id, payer_id, cause()))).value
    assert looked == (10 * COST_MICROS, 0, {})


async def test_two_receipts_charge_a_message_of_a_campaign_once(ledger: Ledger) -> None:
    payer_id = await opened(ledger, Kind.DIRECT, 10 * COST_MICROS)
    campaign_id, message_ids = uuid7(), [uuid7(), uuid7()]
    await ledger.execute(Start(campaign_id, message_ids, payer_id, payer_id, cause()))
    job = Job(message_ids[0], payer_id, payer_id, campaign_id)

    await submit(ledger, job, "one")
    await ledger.execute(RecordReceipt(job, 1, "africastalking", Receipt("two"), cause()))

    posted, reserved, still_open = (
        await ledger.execute(Look(campaign_id, payer_id, cause()))
    ).value
    assert (posted, reserved) == (9 * COST_MICROS, COST_MICROS)
    assert still_open[campaign_id].amount_micros == COST_MICROS
    assert still_open[campaign_id].campaign_id == campaign_id


async def test_agent_pays_its_cost_and_its_customer_spends_the_price(ledger: Ledger) -> None:
    agent_id = await opened(ledger, Kind.AGENT, 10 * COST_MICROS)
    customer_id = await opened(ledger, Kind.CUSTOMER, agent_id=agent_id)
    campaign_id, message_ids = uuid7(), [uuid7(), uuid7()]
    await ledger.execute(Start(campaign_id, message_ids, customer_id, agent_id, cause()))

    job = Job(message_ids[0], customer_id, agent_id, campaign_id)
    await submit(ledger, job, "one")

    posted, reserved, still_open = (
        await ledger.execute(Look(campaign_id, agent_id, cause()))
    ).value
    assert (posted, reserved) == (9 * COST_MICROS, COST_MICROS)
    assert still_open[campaign_id].on_behalf.price_micros == PRICE_MICROS


async def test_many_charges_of_one_batch_lessen_the_reservation_together(ledger: Ledger) -> None:
    payer_id = await opened(ledger, Kind.DIRECT, 10 * COST_MICROS)
    campaign_id, message_ids = uuid7(), [uuid7() for _ in range(4)]
    await ledger.execute(Start(campaign_id, message_ids, payer_id, payer_id, cause()))

    await ledger.execute(ReceiveTogether(message_ids[:3], campaign_id, payer_id, cause()))

    posted, reserved, still_open = (
        await ledger.execute(Look(campaign_id, payer_id, cause()))
    ).value
    assert (posted, reserved) == (7 * COST_MICROS, COST_MICROS)
    assert still_open[campaign_id].amount_micros == COST_MICROS


@dataclass(frozen=True)
class ReceiveTogether(PlainCommand):
    """Submit several messages of a campaign in one decision."""

    message_ids: list[UUID]
    campaign_id: UUID
    payer_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.payer_id)
        needs.reservations.add(self.campaign_id)
        needs.messages.update(self.message_ids)

    def decide(self, books: Books) -> None:
        for one in self.message_ids:
            job = Job(one, self.payer_id, self.payer_id, self.campaign_id)
            StartSubmission(job, None, Policy(), self.cause).decide(books)
            RecordReceipt(job, 1, "celcom", Receipt(one.hex), self.cause).decide(books)
