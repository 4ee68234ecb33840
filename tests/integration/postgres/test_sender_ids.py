"""Sender ids that a release without classes approved: listed by the migration, decided anew."""

import importlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import create_engine

from semalink.application.account_commands import OfAccount
from semalink.application.content_reading import SenderIdFilter
from semalink.application.ledger import Books
from semalink.application.sender_ids import ApproveSender, ChangeSenderClass, WithdrawSender
from semalink.domain.account import Account
from semalink.domain.cause import Cause
from semalink.domain.sender_id import SenderClass
from semalink_adapters.postgres.account_terms import PostgresAccountTerms
from semalink_adapters.postgres.content_reads import PostgresSenderIdReads
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.queries import open_pool

MIGRATION = "semalink_adapters.postgres.migrations.versions.0017_pre_content"


@dataclass(frozen=True, slots=True)
class ApproveAsBefore(OfAccount):
    """What the release before recorded of an approval."""

    account_id: UUID
    sender: str
    cause: Cause

    def decide(self, books: Books) -> None:
        books.account(self.account_id).trigger_event(
            Account.SenderApproved,
            timestamp=self.cause.at,
            actor=self.cause.actor,
            request_id=self.cause.request_id,
            sender=self.sender,
        )


async def test_sender_ids_of_the_release_before_are_listed_and_decided_anew(
    desk: Any, database_url: str, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=1)
    for sender in ("OLD", "OLDER"):
        await desk.ledger.execute(ApproveAsBefore(account_id, sender, desk.cause()))
        connection.execute(
            "INSERT INTO approved_senders (account_id, sender) VALUES (%s, %s)",
            (account_id, sender),
        )
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.begin() as migrating:
        importlib.import_module(MIGRATION).list_approved(migrating)
    engine.dispose()

    async with open_pool(database_url) as pool:
        reads, wanted = PostgresSenderIdReads(pool), SenderIdFilter(account_id)
        listed = await reads.sender_ids(wanted, before=None, limit=10)
        await desk.ledger.execute(WithdrawSender(account_id, "OLD", "Complaints.", desk.cause()))
        await desk.ledger.execute(
            ChangeSenderClass(account_id, "OLDER", SenderClass.PROMOTIONAL, "Offers.", desk.cause())
        )
        decided = await reads.sender_ids(wanted, before=None, limit=10)

    usable = connection.execute(
        "SELECT sender, class FROM approved_senders WHERE account_id = %s", (account_id,)
    ).fetchall()
    assert {(one.sender, one.state, one.sender_class) for one in listed} == {
        ("OLD", "approved", "transactional"),
        ("OLDER", "approved", "transactional"),
    }
    assert {(one.sender, one.state, one.sender_class) for one in decided} == {
        ("OLD", "withdrawn", "transactional"),
        ("OLDER", "approved", "promotional"),
    }
    assert {one.id for one in listed} == {one.id for one in decided}
    assert usable == [("OLDER", "promotional")]


async def test_sending_terms_class_a_sender_id_whatever_its_case(
    desk: Any, database_url: str
) -> None:
    first, second = [await desk.open_account(message_count=1) for _ in range(2)]
    promotional = SenderClass.PROMOTIONAL
    await desk.ledger.execute(ApproveSender(first, "Duka", desk.cause()))
    await desk.ledger.execute(ApproveSender(second, "DUKA", desk.cause(), promotional, "Offers."))

    async with open_pool(database_url) as pool:
        terms = await PostgresAccountTerms(pool).sending_terms(first)

    assert terms.promotional == {"Duka": None}
