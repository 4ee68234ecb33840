"""How fast a month goes into the archive and back, and how soon one message of it is read."""

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from sqlalchemy import NullPool, create_engine

from bench.drafts import draft_of
from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.projections.messages import MESSAGES
from semalink.projections.registry import PROJECTIONS
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.archive.store import Access, open_store
from semalink_adapters.postgres import append_only, partitions
from semalink_adapters.postgres.archived_months import open_owner
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url, upgrade
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import Archiver
from semalink_ops.archiving.reading import ArchivedStreams
from semalink_ops.archiving.restoring import Restorer
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.settings import Settings

MESSAGE_COUNT = 150_000
READ_COUNT = 300
TARGET_PER_SECOND = 50_000
TARGET_READ_MS = 200

_AT = datetime(2026, 3, 14, tzinfo=UTC)
_MONTH = LogMonth("2026-03", "message_events")
_COPY = "COPY message_events (originator_id, originator_version, topic, state) FROM STDIN"
_DRAIN = (
    "COPY (SELECT * FROM message_events_2026_03 ORDER BY originator_id, originator_version)"
    " TO '/dev/null' (FORMAT BINARY)"
)
_READ_BY_ALL = """
INSERT INTO cursors (name, xid, position)
SELECT name, pg_current_xact_id(), 0 FROM unnest(%s::text[]) AS name
ON CONFLICT (name) DO UPDATE SET xid = excluded.xid"""

T = TypeVar("T")


def measure(*, quick: bool) -> None:
    """Print the figures; a server of its own, and an archive in a folder."""
    count = MESSAGE_COUNT // 10 if quick else MESSAGE_COUNT
    with tempfile.TemporaryDirectory(prefix="semalink-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with EmbeddedPostgres(folder / "postgres", free_port()) as server:
            upgrade(server.dsn)
            ids = _fill(server.dsn, count)
            _measure(server.dsn, (folder / "archive").as_uri(), ids)


def _measure(database_url: str, archive_url: str, ids: list[UUID]) -> None:
    wanted = random.Random(1).sample(ids, READ_COUNT)
    hot = asyncio.run(_read(database_url, archive_url, wanted))
    with open_owner(database_url) as owner:
        row = owner.execute(f"SELECT count(*) FROM {_MONTH.table}").fetchone()
        count = row[0] if row else 0
        print(
            f"\nArchive, {count:,} events of {len(ids):,} messages (aim: {TARGET_PER_SECOND:,}/s)"
        )
        baseline = _timed("COPY in order to /dev/null", count, lambda: owner.execute(_DRAIN))
        archiver = Archiver(
            owner,
            open_store(archive_url, Access()),
            lambda _: None,
            lambda: Cause("bench", datetime.now(UTC), "req_bench"),
        )
        taken = _timed("archive run, to the drop", count, lambda: archiver.archive(_MONTH))
        _show_sizes(archiver, count, taken / baseline)
        cold = asyncio.run(_read(database_url, archive_url, wanted, is_cold=True))
        warm = asyncio.run(_read(database_url, archive_url, wanted))
        print(f"  one message, of {READ_COUNT} (aim: {TARGET_READ_MS} ms)")
        for title, times in (
            ("in the database", hot),
            ("archived", warm),
            ("archived, cold", cold),
        ):
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            print(f"    {title:<34}p50 {p50 * 1000:>6.1f} ms  p99 {p99 * 1000:>6.1f} ms")
        restorer = Restorer(archiver, database_url)
        _timed("archive restore", count, lambda: restorer.restore(_MONTH))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of everything above: {peak:.0f} MiB", flush=True)


def _show_sizes(archiver: Archiver, count: int, ratio: float) -> None:
    row = archiver.book.find(_MONTH.log, _MONTH.month)
    assert row is not None, "it was archived"
    per_event = row.byte_count / count
    print(
        f"    {ratio:.1f} times as long as the COPY; {row.byte_count / 2**20:,.1f} MiB,"
        f" {per_event:.0f} bytes an event"
    )


async def _read(
    database_url: str, archive_url: str, wanted: list[UUID], *, is_cold: bool = False
) -> list[float]:
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": "nats://127.0.0.1:9",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_ARCHIVE_URL": archive_url,
        }
    )
    pool = open_pool(database_url, size=1)
    await pool.open()
    times = []
    reads = PostgresReads(pool, archived=ArchivedStreams(settings, pool))
    # What a process loads once.
    await reads.message(wanted[0], None)
    for message_id in wanted:
        if is_cold:
            reads = PostgresReads(pool, archived=ArchivedStreams(settings, pool))
        started = time.perf_counter()
        found = await reads.message(message_id, None)
        times.append(time.perf_counter() - started)
        assert found is not None, "every message is found, wherever it is"
    await pool.close()
    return sorted(times)


def _timed(title: str, event_count: int, work: Callable[[], T]) -> float:
    started, cpu = time.perf_counter(), time.process_time()
    work()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    of_cpu = f"  ({event_count / cpu:,.0f} a second of our CPU)" if cpu > elapsed / 10 else ""
    print(f"  {title:<36}{event_count / elapsed:>9,.0f}/s{of_cpu}", flush=True)
    return elapsed


def _fill(database_url: str, count: int) -> list[UUID]:
    ids: list[UUID] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        partitions.ensure(connection, _AT, append_only.guard_partition)
        with connection.cursor().copy(_COPY) as rows:
            for row in _rows(count, ids):
                rows.write_row(row)
        connection.execute("VACUUM ANALYZE message_events")
        engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
        for projection in PROJECTIONS:
            if projection.log == MESSAGES.log:
                runner = ProjectionRunner(engine, projection, EventMapper.read)
                runner.page_size = 20_000
                while runner.step().event_count:
                    pass
        engine.dispose()
        others = ["relay.messages", "feed.message_events"]
        connection.execute(_READ_BY_ALL, (others,))
    return ids


def _rows(count: int, ids: list[UUID]) -> Iterator[tuple[Any, ...]]:
    mapper = EventMapper()
    account_id = UUID("01980000-0000-7000-8000-00000000000a")
    dice = random.Random(count)
    for number in range(count):
        at = _AT + timedelta(milliseconds=number)
        milliseconds = int(at.timestamp() * 1000)
        message_id = UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | dice.getrandbits(62))
        ids.append(message_id)
        cause = Cause("worker:sms", at, f"job_{message_id.hex}")
        message = Message.accept(message_id, draft_of(account_id, at), cause)
        message.start_submission("celcom", cause)
        message.record_receipt(
            1, "celcom", f"{dice.getrandbits(64):x}", cause,
            charged_micros=800_000, network="safaricom", cost="KES 0.80",
        )  # fmt: skip
        message.deliver("DeliveredToTerminal", "safaricom", cause)
        for event in message.collect_events():
            stored = mapper.to_stored_event(event)
            yield stored.originator_id, stored.originator_version, stored.topic, stored.state
