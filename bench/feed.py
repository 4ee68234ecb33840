"""How fast the feed follows the logs, with and without endpoints that ask for what it finds."""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from bench.drafts import draft_of
from bench.projections import MIXED
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink_adapters.postgres.feed import FeedWriter, connect
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import upgrade
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.runtime import utc_now

MESSAGE_COUNT = 40_000
ACCOUNT_COUNT = 50
#: Of a message that is delivered: four steps and two entries, of which five are public.
ROWS_PER_MESSAGE = 6
TARGET_PER_SECOND = 3_000

_COPY_EVENTS = "COPY message_events (originator_id, originator_version, topic, state) FROM STDIN"
_COPY_ENTRIES = (
    "COPY ledger_entries (originator_id, originator_version, topic, state, message_id, entry_hash)"
    " FROM STDIN"
)
_ENDPOINT = """
INSERT INTO webhook_endpoints (
    endpoint_id, account_id, url, event_types, rate_per_second, concurrency, description,
    created_at, changed_at)
VALUES (%s, %s, 'https://example.com', '{message.*}', 50, 4, '', 'epoch', 'epoch')"""


def measure(*, quick: bool) -> None:
    """Print the figures; servers of its own, so that nothing else is in the log."""
    count = MESSAGE_COUNT // 10 if quick else MESSAGE_COUNT
    print(
        f"\nThe feed, {count:,} messages of {ACCOUNT_COUNT} accounts"
        f" (aim: {TARGET_PER_SECOND:,} events/s)"
    )
    for title, has_endpoints in (("no endpoints", False), ("three webhooks a message", True)):
        with tempfile.TemporaryDirectory(prefix="semalink-bench-") as folder:
            Path(folder).chmod(0o711)
            with EmbeddedPostgres(Path(folder) / "postgres", free_port()) as server:
                upgrade(server.dsn)
                _fill(server.dsn, count, has_endpoints=has_endpoints)
                _measure(server.dsn, title)


def _measure(database_url: str, title: str) -> None:
    longest = 0.0
    rows = items = deliveries = 0
    with connect(database_url) as connection:
        writer = FeedWriter(connection)
        started = time.perf_counter()
        while True:
            began = time.perf_counter()
            page = writer.step(Cause("worker:feed", utc_now(), "job_bench"))
            longest = max(longest, time.perf_counter() - began)
            if not page.row_count:
                break
            rows, items = rows + page.row_count, items + page.item_count
            deliveries += page.delivery_count
    elapsed = time.perf_counter() - started
    print(
        f"  {title:<28}{rows / elapsed:>8,.0f} events/s {items / elapsed:>8,.0f} in feeds/s"
        f" {deliveries / elapsed:>8,.0f} deliveries/s  longest step {longest * 1000:.0f} ms",
        flush=True,
    )


def _fill(database_url: str, count: int, *, has_endpoints: bool) -> None:
    account_ids = [uuid7() for _ in range(ACCOUNT_COUNT)]
    lives = {account_id: _life(account_id) for account_id in account_ids}
    versions = dict.fromkeys(account_ids, 0)
    with psycopg.connect(database_url) as connection:
        if has_endpoints:
            for account_id in account_ids:
                connection.execute(_ENDPOINT, (uuid7(), account_id))
        for start in range(0, count, MIXED):
            made = [(uuid7(), account_ids[n % ACCOUNT_COUNT]) for n in range(start, start + MIXED)]
            for step in range(ROWS_PER_MESSAGE):
                _copy(
                    connection, [(one, lives[owner][step], owner) for one, owner in made], versions
                )
            connection.commit()
        for table in ("message_events", "ledger_entries"):
            connection.execute(f"ANALYZE {table}")


def _copy(
    connection: psycopg.Connection[Any],
    made: list[tuple[UUID, Any, UUID]],
    versions: dict[UUID, int],
) -> None:
    is_entry = isinstance(made[0][1][0], CreditAccount.Event)
    with connection.cursor().copy(_COPY_ENTRIES if is_entry else _COPY_EVENTS) as rows:
        for row in _entries(made, versions) if is_entry else _steps(made):
            rows.write_row(row)


def _steps(made: list[tuple[UUID, Any, UUID]]) -> Iterator[tuple[Any, ...]]:
    for message_id, (event, stored), _ in made:
        known = str(event.originator_id).encode()
        state = stored.state.replace(known, str(message_id).encode())
        yield message_id, stored.originator_version, stored.topic, state


def _entries(
    made: list[tuple[UUID, Any, UUID]], versions: dict[UUID, int]
) -> Iterator[tuple[Any, ...]]:
    for message_id, (event, stored), owner in made:
        versions[owner] += 1
        state = stored.state.replace(
            str(event.reservation_id).encode(), str(message_id).encode()
        ).replace(
            b'"originator_version":%d' % event.originator_version,
            b'"originator_version":%d' % versions[owner],
        )
        yield owner, versions[owner], stored.topic, state, message_id, bytes(32)


def _life(account_id: UUID) -> list[Any]:
    """Return the events of a message that is delivered, with its entries, in order."""
    now, mapper = utc_now(), EventMapper()
    cause = Cause("key:bench", now, "req_bench")
    draft = draft_of(account_id, now)
    credit = CreditAccount.open(account_id, cause)
    credit.top_up(10_000_000, "p", cause)
    credit.collect_events()
    message = Message.accept(uuid7(), draft, cause)
    credit.reserve(message.id, 800_000, cause)
    credit.charge(message.id, cause)
    reserved, charged = credit.collect_events()
    message.start_submission("africastalking", cause)
    message.record_receipt(
        1, "africastalking", "ATXid_1", cause,
        charged_micros=800_000, network=None, cost="KES 0.8000",
    )  # fmt: skip
    message.deliver("Success", None, cause)
    accepted, *later = message.collect_events()
    ordered = [reserved, accepted, later[0], charged, *later[1:]]
    return [(event, mapper.to_stored_event(event)) for event in ordered]


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv)
