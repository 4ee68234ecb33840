"""The library's own way in: its repository and its event store, on our recorder."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.application import Repository
from eventsourcing.persistence import EventStore, IntegrityError
from uuid_utils.compat import uuid7

from semalink.application.ports import ReportState
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink.domain.status import Status
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.recorder import (
    ADMIN_EVENTS,
    LEDGER_ENTRIES,
    MESSAGE_EVENTS,
    Datastore,
    LogRecorder,
    open_repository,
)


@pytest.fixture
def datastore(database_url: str) -> Iterator[Datastore]:
    """The library's pool on a fresh database."""
    with Datastore(database_url) as datastore:
        yield datastore


@pytest.fixture
def settings(datastore: Datastore) -> EventStore[Any]:
    """The library's event store on the log of the settings."""
    return EventStore(EventMapper(), LogRecorder(datastore, ADMIN_EVENTS))


async def test_repository_returns_what_the_ledger_stored(desk: Any, datastore: Datastore) -> None:
    account_id = await desk.open_account(message_count=3)
    job = await desk.accept_job(account_id)
    await desk.submit(job, "ref-1")
    await desk.report(job, "ref-1", ReportState.DELIVERED)

    message: Any = open_repository(datastore, MESSAGE_EVENTS).get(job.message_id)
    credits_: Any = open_repository(datastore, LEDGER_ENTRIES).get(account_id)
    account: Any = open_repository(datastore, ADMIN_EVENTS).get(account_id)

    assert isinstance(message, Message)
    assert (message.status, message.version) == (Status.DELIVERED, 4)
    assert isinstance(credits_, CreditAccount)
    assert (credits_.available_micros, credits_.open_reservations) == (2_000_000, {})
    assert isinstance(account, Account)
    assert account.kind is Kind.DIRECT


async def test_repository_reads_a_version_of_the_past(desk: Any, datastore: Datastore) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    await desk.submit(job, "ref-1")

    repository: Repository[Any] = open_repository(datastore, MESSAGE_EVENTS)
    message: Any = repository.get(job.message_id, version=2)

    assert (message.status, message.in_submission) == (Status.ACCEPTED, True)


def test_put_stores_events_and_numbers_them(desk: Any, settings: EventStore[Any]) -> None:
    account = Account.open(uuid7(), "Desk", Kind.AGENT, Tier.GROWTH, desk.cause())
    account.prefer_route("celcom", desk.cause())

    recordings = settings.put(account.collect_events())

    stored: Any = [event.mutate(None) for event in settings.get(account.id, limit=1)]
    assert [recording.notification.id for recording in recordings] == [1, 2]
    assert stored[0].name == "Desk"
    assert [event.TOPIC for event in settings.get(account.id)] == [
        "account.created.1",
        "account.route_preferred.1",
    ]


def test_put_is_refused_when_the_version_exists(desk: Any, settings: EventStore[Any]) -> None:
    account = Account.open(uuid7(), "Desk", Kind.AGENT, Tier.GROWTH, desk.cause())
    events = account.collect_events()
    settings.put(events)

    with pytest.raises(IntegrityError):
        settings.put(events)


def test_put_goes_through_while_the_table_is_analysed_or_indexed(
    desk: Any, settings: EventStore[Any], connection: psycopg.Connection[Any]
) -> None:
    account = Account.open(uuid7(), "Desk", Kind.AGENT, Tier.GROWTH, desk.cause())

    # ANALYZE, VACUUM and CREATE INDEX CONCURRENTLY hold this lock; the library's would wait for it.
    with connection.transaction():
        connection.execute("LOCK TABLE admin_events IN SHARE UPDATE EXCLUSIVE MODE")
        settings.put(account.collect_events())

    assert len(list(settings.get(account.id))) == 1


def test_put_notifies_nobody(
    desk: Any, settings: EventStore[Any], connection: psycopg.Connection[Any]
) -> None:
    account = Account.open(uuid7(), "Desk", Kind.AGENT, Tier.GROWTH, desk.cause())
    connection.execute("LISTEN admin_events")

    settings.put(account.collect_events())

    connection.execute("SELECT 1")
    assert list(connection.notifies(timeout=0, stop_after=1)) == []


async def test_execute_goes_through_while_the_logs_are_analysed_or_indexed(
    desk: Any, books: Any, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=1)

    with connection.transaction():
        for log in ("ledger_entries", "message_events", "admin_events"):
            connection.execute(f"LOCK TABLE {log} IN SHARE UPDATE EXCLUSIVE MODE")
        await desk.accept(account_id)

    assert books.one("SELECT count(*) FROM message_events") == 1
