"""Deliveries of webhooks are archived like messages, and readers of the logs never wait for it."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import NullPool, create_engine
from tests.integration.archive.old_months import (
    ACCOUNT_ID,
    MIDDLE,
    MONTH,
    id_of,
    insert_events,
    live_through,
    make_month,
)
from uuid_utils.compat import uuid7

from semalink.application.delivery_reports import RecordReport
from semalink.application.history import HistoryFilter
from semalink.application.ports import DeliveryReport, ReportState
from semalink.domain.cause import Cause
from semalink.domain.errors import MessageNotFound
from semalink.domain.webhook_delivery import Subject, WebhookDelivery
from semalink.projections.log_pages import START, LogReader
from semalink_adapters.archive.store import ObjectStorage
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.queries import open_pool
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import Archiver, MonthBlocked
from semalink_ops.archiving.reading import ArchivedStreams
from semalink_ops.settings import Settings

EVENTS = LogMonth(MONTH, "message_events")
DELIVERIES = LogMonth(MONTH, "webhook_events")
CAUSE = Cause("worker:webhooks", MIDDLE + timedelta(seconds=1), "job_1")

_WAITING = """
INSERT INTO webhook_deliveries (delivery_id, endpoint_id, account_id, event_id, event_name,
                                state, created_at)
VALUES (%s, %s, %s, 'evt_1', 'message.delivered', %s, now())"""
_WRITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'semalink-archive' AND backend_xid IS NOT NULL"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Connections for reading."""
    opened = open_pool(database_url, size=1)
    await opened.open(wait=True)
    yield opened
    await opened.close()


def _make_delivery(owner: psycopg.Connection[Any], delivery_id: UUID) -> None:
    subject = Subject(id_of(900), ACCOUNT_ID, "evt_1", "message.delivered", 1)
    delivery = WebhookDelivery.create(delivery_id, subject, CAUSE)
    insert_events(owner, delivery.collect_events(), "webhook_events")


async def test_archive_waits_for_a_delivery_and_history_finds_it_afterwards(
    database_url: str,
    archiver: Archiver,
    store: ObjectStorage,
    pool: AsyncConnectionPool[Any],
    tmp_path: Path,
) -> None:
    make_month(database_url, 1)
    owner, delivery_id = archiver.connection, id_of(500)
    _make_delivery(owner, delivery_id)
    owner.execute(_WAITING, (delivery_id, id_of(900), ACCOUNT_ID, "waiting"))
    with pytest.raises(MonthBlocked) as blocked:
        archiver.archive(DELIVERIES)
    owner.execute("UPDATE webhook_deliveries SET state = 'delivered'")
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": "nats://127.0.0.1:9",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_ARCHIVE_URL": (tmp_path / "archive").as_uri(),
        }
    )
    history = PostgresHistory(pool, archived=ArchivedStreams(settings, pool))
    asked = HistoryFilter(subject_id=delivery_id)
    before = await history.page(asked, None, 10)

    row = archiver.archive(DELIVERIES)

    assert [(one.what, one.count) for one in blocked.value.found] == [
        ("deliveries that are not over", 1)
    ]
    assert (row.state, row.row_count) == ("archived", 1)
    assert len(before.rows) == 1
    assert await history.page(asked, None, 10) == before


def test_archive_holds_no_reader_of_the_logs_back(database_url: str, archiver: Archiver) -> None:
    make_month(database_url, 40)
    seen: list[tuple[int, int]] = []
    numbers = iter(range(600, 700))

    with (
        _reader(database_url) as count_events,
        psycopg.connect(database_url, autocommit=True) as other,
    ):

        class Watching:
            def __getattr__(self, name: str) -> Any:
                return getattr(archiver.store, name)

            def put(self, path: str, content: bytes) -> None:
                archiver.store.put(path, content)
                fresh = live_through(next(numbers), random.Random(1), MIDDLE + timedelta(days=31))
                insert_events(other, fresh)
                writing = other.execute(_WRITING).fetchone()
                seen.append((count_events(), writing[0] if writing else -1))

        row = replace(archiver, store=Watching()).archive(EVENTS)

    assert row.state == "archived"
    # Everyone reads on at once, and the export has no transaction that could stand before.
    assert seen == [(160 + 4 * number, 0) for number in range(1, len(seen) + 1)]
    assert len(seen) == 5


@contextmanager
def _reader(database_url: str) -> Iterator[Any]:
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    log = LogReader("message_events", EventMapper.read)

    def count_events() -> int:
        with engine.begin() as tx:
            return len(log.page(tx, START, 10_000))

    yield count_events
    engine.dispose()


async def test_late_report_on_an_archived_message_finds_no_message(
    database_url: str, archiver: Archiver
) -> None:
    (message_id,) = make_month(database_url, 1)
    archiver.archive(EVENTS)
    report = DeliveryReport("ref-1", ReportState.DELIVERED, "DeliveredToTerminal")

    async with GroupCommit(database_url) as ledger:
        with pytest.raises(MessageNotFound):
            await ledger.execute(
                RecordReport(message_id, uuid7(), "celcom", report, replace(CAUSE))
            )
