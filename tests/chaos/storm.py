"""Faults under load, one after another in an order of chance, and what must be true after them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
from tests.chaos import auditor
from tests.chaos.auditor import Findings
from tests.chaos.customers import Customer, Reception
from tests.chaos.load import Load
from tests.chaos.platform import Platform
from tests.chaos.waiting import Condition, until

CREDIT_MICROS = 10_000_000_000
GROW_SECONDS = 30.0
SIGNS_OF_BUGS = (
    "Traceback",
    '"event":"crashed"',
    '"event":"command_crashed"',
    '"event":"request_crashed"',
    '"event":"delivery_failed"',
)

_log = logging.getLogger(__name__)

UNFINISHED = """
SELECT concat_ws(' ', asked.id, p.state, p.round, 'due', p.due_at, (
    SELECT string_agg(e.topic, ' ' ORDER BY e.originator_version)
    FROM message_events AS e WHERE e.originator_id = asked.id))
FROM unnest(%(ids)s::uuid[]) AS asked (id)
LEFT JOIN pending_submissions AS p ON p.message_id = asked.id
WHERE NOT EXISTS (
    SELECT FROM message_events AS e WHERE e.originator_id = asked.id AND e.topic IN (
        'message.delivered.1', 'message.failed.1', 'message.rejected.1',
        'message.expired.1', 'message.unknown.1'))
UNION ALL
SELECT concat_ws(' ', 'report', report_id, 'of', received_at) FROM pending_reports"""

# Time passes for what only waits for its deadline; the log is not touched.
COME_DUE = "UPDATE pending_submissions SET due_at = now() WHERE state = 'unknown'"


@asynccontextmanager
async def under_load(load: Load) -> AsyncIterator[None]:
    """Send meanwhile; at the end every message that was begun has been acknowledged."""
    stop = asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
        _log.warning(
            "%s: %d acknowledged, refused %s, %d connections broken",
            load.name,
            len(load.acknowledged),
            load.refused,
            load.broken_count,
        )


async def grow(load: Load, count: int, *, within_seconds: float = GROW_SECONDS) -> None:
    """Let so many more messages be acknowledged; raises TimeoutError when that takes too long."""
    async with asyncio.timeout(within_seconds):
        await load.reach(len(load.acknowledged) + count)


async def settle(reception: Reception, load: Load, *, within_seconds: float) -> float:
    """Wait until every acknowledged message has come to its end; return the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    ids = list(load.acknowledged)

    unfinished: list[str] = []

    async def is_quiet() -> bool:
        async with await psycopg.AsyncConnection.connect(
            reception.platform.quickstart["database_url"], autocommit=True
        ) as connection:
            await connection.execute(COME_DUE)
            cursor = await connection.execute(UNFINISHED, {"ids": ids})
            unfinished[:] = [row[0] for row in await cursor.fetchall()]
        return not unfinished

    what = f"all {len(ids)} messages of {load.name} come to an end"
    try:
        await until(
            is_quiet, what, within_seconds=within_seconds, ignoring=(psycopg.OperationalError,)
        )
    except Condition as late:
        raise Condition("\n".join([str(late), *unfinished])) from None
    return loop.time() - began


async def audit(reception: Reception) -> Findings:
    """Examine everything that is stored and everything that arrived."""
    quickstart = reception.platform.quickstart
    evidence = await auditor.gather(quickstart["database_url"], quickstart["sandbox_url"])
    findings = auditor.examine(evidence)
    assert findings.violations == [], "\n".join(findings.violations)
    return findings


def crashes(platform: Platform) -> list[str]:
    """Return what the logs tell of bugs: whatever was killed or away is none."""
    return [
        f"{path.name}: {line}"
        for path in platform.data_dir.rglob("*.log")
        for line in path.read_text(errors="replace").splitlines()
        if any(sign in line for sign in SIGNS_OF_BUGS)
    ]


async def assert_nothing_lost(reception: Reception, customer: Customer, load: Load) -> Findings:
    """Examine everything, and hold it against what the customer was told."""
    assert crashes(reception.platform) == []
    findings = await audit(reception)
    account_id = UUID(customer.account_id.removeprefix("acct_"))
    stories = {story.message_id: story for story in findings.of_account(account_id)}
    assert stories.keys() == load.acknowledged.keys(), "accepted is exactly what was acknowledged"
    for message_id, asked in load.acknowledged.items():
        story = stories[message_id]
        assert (story.to, story.text) == (asked.to, asked.text)
        assert story.is_final, story
    purse = findings.ledger.purses[account_id]
    assert purse.reserved == 0
    assert await customer.live.balance() == {
        "posted_micros": purse.posted,
        "reserved_micros": 0,
        "credit_limit_micros": 0,
        "available_micros": purse.posted,
    }
    what = "the read model is as the log"
    await until(lambda: _has_caught_up(reception), what, within_seconds=10)
    return findings


async def _has_caught_up(reception: Reception) -> bool:
    quickstart = reception.platform.quickstart
    evidence = await auditor.gather(quickstart["database_url"], quickstart["sandbox_url"])
    return not auditor.behind(evidence, auditor.examine(evidence))
