"""``python -m bench.history``: how long a page of the history takes, by what is asked."""

import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from bench import platform
from semalink.application.history import HistoryFilter
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.queries import open_pool

MESSAGES = 250_000
ACCOUNTS = 1_000
DAYS = 20
PAGE_ROWS = 50
ROUNDS = 20

_ID = "(lpad(to_hex(ms), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"
_ACCOUNT_ID = "('01900000000070008000' || lpad(to_hex(n % {accounts}), 12, '0'))::uuid"

# What happened to messages and to their credits, spread evenly over some days.
_FILL = f"""
CREATE TEMPORARY TABLE asked AS
SELECT n, ms, {_ID} AS id, {_ACCOUNT_ID} AS account_id, to_timestamp(ms / 1000.0) AS at
FROM (SELECT n, (extract(epoch FROM '{{start}}'::timestamptz) * 1000
                 + n * {{apart_ms}})::bigint AS ms
      FROM generate_series(1, {{messages}}) AS n) AS t"""

_EVENTS = """
INSERT INTO message_events (originator_id, originator_version, topic, state, recorded_at)
SELECT id, v, 'message.' || step || '.1', convert_to(format(
    '{{"originator_id":"%s","originator_version":%s,"timestamp":"%s","actor":"%s",'
    '"request_id":"req_%s"%s}}', id, v, to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    CASE WHEN v = 1 THEN 'key:' || n % {accounts} ELSE 'worker:sms' END,
    replace(id::text, '-', ''), CASE WHEN v = 1 THEN format(
    ',"originator_topic":"message","account_id":"%s","billing_account_id":"%s","mode":"live",'
    '"to":"+254700000000","country":"KE","network":null,"text":"%s","sender":"BENCH",'
    '"lane":"normal","encoding":"GSM-7","segments":1,"price_micros":800000,'
    '"expires_at":"2026-12-31T00:00:00Z","metadata":{{}},"traceparent":""',
    account_id, account_id, repeat('x', 120)) ELSE facts END), 'UTF8'),
    at + v * interval '1 millisecond'
FROM asked, (VALUES
    (1, 'accepted', ''),
    (2, 'submit_started', ',"attempt":1,"aggregator":"celcom","possible_duplicate":false'),
    (3, 'submitted', ',"attempt":1,"aggregator":"celcom","reference":"r","charged_micros":800000,'
        '"network":null,"cost":null'),
    (4, 'delivered', ',"description":"Delivered","network":null')) AS steps (v, step, facts)
ORDER BY n, v"""

_ENTRIES = """
INSERT INTO ledger_entries (
    originator_id, originator_version, topic, state, recorded_at, message_id, entry_hash)
SELECT account_id, n, 'credit_account.' ||
    CASE WHEN n > {messages} - {accounts} THEN 'limit_set' ELSE 'reserved' END || '.1',
    convert_to(format(
    '{{"originator_id":"%s","originator_version":%s,"timestamp":"%s","actor":"key:%s",'
    '"request_id":"req_%s","posted_after_micros":0,"reserved_after_micros":0%s}}',
    account_id, n, to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), n % {accounts},
    replace(id::text, '-', ''), CASE WHEN n > {messages} - {accounts}
    THEN ',"credit_limit_micros":5,"reason":"contract"'
    ELSE format(',"reservation_id":"%s","amount_micros":800000', id) END), 'UTF8'),
    at, id, sha256(id::text::bytea)
FROM asked ORDER BY n"""

_ACCOUNTS = """
INSERT INTO accounts (account_id, billing_account_id, name, kind, tier)
SELECT DISTINCT account_id, account_id, 'Bench', 'direct', 'starter' FROM asked"""


def main() -> None:
    """Fill a database, then time a page of each kind."""
    messages = MESSAGES // 10 if "--quick" in sys.argv else MESSAGES
    with platform.servers() as servers:
        end = datetime.now(UTC)
        some_message, some_account = fill(servers.postgres.dsn, messages, end)
        asyncio.run(measure(servers.postgres.dsn, some_message, some_account, end))


def fill(database_url: str, messages: int, end: datetime) -> tuple[UUID, UUID]:
    """Load messages with four events and an entry each; return one and its account."""
    sizes = {
        "messages": messages,
        "accounts": ACCOUNTS,
        "start": end - timedelta(days=DAYS),
        "apart_ms": DAYS * 86_400_000 / (messages + 1),
    }
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_FILL.format(**sizes))
        for statement in (_EVENTS, _ENTRIES, _ACCOUNTS):
            connection.execute(statement.format(**sizes))
        for log in ("message_events", "ledger_entries", "accounts"):
            connection.execute(f"VACUUM ANALYZE {log}")
        row = connection.execute(
            "SELECT id, account_id FROM asked WHERE n = %s", (messages // 2,)
        ).fetchone()
        assert row is not None, "it was just loaded"
        return row


async def measure(database_url: str, message_id: UUID, account_id: UUID, end: datetime) -> None:
    """Print the time of a page, and of a whole search for something rare."""
    request_id = f"req_{message_id.hex}"
    month_ago = end - timedelta(days=DAYS)
    actor = f"key:{account_id.int & 0xFFFF}"
    asked = {
        "a message": HistoryFilter(subject_id=message_id),
        "an account": HistoryFilter(account_id=account_id),
        "changes of a limit": HistoryFilter(account_id=account_id, name="credit.limit_set"),
        "a request": HistoryFilter(request_id=request_id),
        "an actor, a day": HistoryFilter(actor=actor),
        "an actor, all days": HistoryFilter(actor=actor, from_at=month_ago),
        "all of a day": HistoryFilter(),
        "refusals of a day": HistoryFilter(name="refused"),
        "all, oldest first": HistoryFilter(from_at=month_ago, is_newest_first=False),
    }
    print(f"A page of {PAGE_ROWS} rows, {ACCOUNTS} accounts, {DAYS} days")
    async with open_pool(database_url, size=1) as pool:
        history = PostgresHistory(pool)
        for name, one in asked.items():
            times = []
            page = await history.page(one, None, PAGE_ROWS)
            for _ in range(ROUNDS):
                started = time.perf_counter()
                page = await history.page(one, None, PAGE_ROWS)
                times.append((time.perf_counter() - started) * 1000)
            print(
                f"  {name:<22}p50 {statistics.median(times):>8.1f} ms  max {max(times):>8.1f} ms"
                f"  {len(page.rows)} rows{'' if page.next is None else ', more'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
