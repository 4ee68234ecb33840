"""A campaign: from its start to the last charge, and what every process needs for it."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from bench import whole
from bench.drafts import TEXT
from bench.whole import Whole
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.runtime import utc_now

COUNTS = (10_000, 100_000)
PRICE_MICROS = 800_000
#: Urgent messages of another customer, a second, while the campaign runs.
URGENT_PER_SECOND = 5

_FILL = """
INSERT INTO campaign_recipients (
    campaign_id, place, number, country, network, state, text, encoding, segments,
    price_micros, cost_micros)
SELECT %s, place, '+2547' || lpad(((place * 7919) %% 100000000)::text, 8, '0'), 'KE', 'safaricom',
    'ready', %s, 'gsm-7', 1, %s, %s
FROM generate_series(0, %s - 1) AS place"""
#: Settled, pieces not accepted yet, started.
_STANDS = """
SELECT settled_at IS NOT NULL,
    EXISTS (SELECT FROM tasks WHERE kind = 'accept_piece'), started_at IS NOT NULL
FROM campaigns WHERE campaign_id = %s"""
_ENDED = """
SELECT count(*) FROM message_events
WHERE topic IN ('message.delivered.1', 'message.failed.1', 'message.rejected.1')"""
_URGENT = """
SELECT (extract(epoch FROM e.recorded_at - a.recorded_at) * 1000)::float8
FROM message_events AS a JOIN message_events AS e USING (originator_id)
WHERE a.originator_version = 1 AND a.originator_id = ANY(%s) AND e.topic = 'message.submitted.1'"""
_OWNER = "SELECT account_id FROM accounts WHERE name = 'Bench' ORDER BY account_id LIMIT 1"


@dataclass(frozen=True, slots=True)
class ScheduleAtOnce(PlainCommand):
    """Make a campaign that was checked and is due now; for the bench."""

    campaign_id: UUID
    account_id: UUID
    count: int
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        """Draft, check and schedule it."""
        plan = Plan("Bench", "SEMALINK", TEXT)
        campaign = Campaign.draft(
            self.campaign_id, self.account_id, self.account_id, "live", plan, self.cause
        )
        cost = self.count * PRICE_MICROS
        totals = Totals(self.count, self.count, {}, {}, {"1": self.count}, self.count, cost, cost)
        campaign.start_check(self.cause, schedules=True)
        campaign.record_check(totals, self.cause)
        campaign.schedule(self.cause.at, self.cause, needs_approval=False)
        books.add(campaign)


def measure(*, quick: bool) -> None:
    """Print seconds to accept, messages a second to the last charge, and memory."""
    asyncio.run(_measure((1_000, 3_000) if quick else COUNTS))


async def _measure(counts: Sequence[int]) -> None:
    async with whole.running() as platform, whole.another_customer(platform) as second:
        peaks = [await _run(platform, second, count) for count in counts]
        print("\nPeak memory of each process, MiB, " + " and ".join(map(str, counts)))
        for name in peaks[0]:
            print(f"  {name:<20}" + "".join(f"{peak[name]:>9.1f}" for peak in peaks), flush=True)


async def _run(platform: Whole, second: Whole, count: int) -> dict[str, float]:
    before = await platform.count(_ENDED)
    pids = platform.quickstart["pids"]
    cpu = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    _forget_peaks(pids)
    stop = asyncio.Event()
    urgent = asyncio.create_task(_send_urgent(second, stop))
    began = time.perf_counter()
    campaign_id = await start(platform, count)
    accepted = await _until(platform.database, campaign_id, began, lambda row: not row[1])
    settled = await _until(platform.database, campaign_id, began, lambda row: row[0])
    stop.set()
    ids = await urgent
    await platform.reach(_ENDED, before + count + len(ids))
    ended = time.perf_counter() - began
    waits = await _waits(platform.database, ids)
    print(
        f"\nA campaign of {count}: accepted in {accepted:.1f} s, settled in {settled:.1f} s, "
        f"every report applied in {ended:.1f} s: {count / ended:.0f}/s\n"
        f"  {len(waits)} priority messages of another customer meanwhile, accepted to handed "
        f"over: p50 {waits[len(waits) // 2]:.0f} ms, p99 {waits[len(waits) * 99 // 100]:.0f} ms",
        flush=True,
    )
    used = {name: _cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
    print("  CPU: " + ", ".join(f"{name} {used[name]:.1f} s" for name in sorted(used)), flush=True)
    return {name: _peak_mib(pid) for name, pid in sorted(pids.items())}


async def start(platform: Whole, count: int) -> UUID:
    """Have a campaign of so many recipients start now, and return its id."""
    row = await (await platform.database.execute(_OWNER)).fetchone()
    assert row is not None, "the customer was opened"
    campaign_id = uuid7()
    await platform.database.execute(_FILL, (campaign_id, TEXT, PRICE_MICROS, PRICE_MICROS, count))
    async with GroupCommit(platform.quickstart["database_url"]) as ledger:
        cause = Cause("operator:bench", utc_now() - timedelta(seconds=1), "req_bench")
        await ledger.execute(ScheduleAtOnce(campaign_id, row[0], count, cause))
    return campaign_id


async def _until(
    database: AsyncConnection[Any],
    campaign_id: UUID,
    began: float,
    holds: Callable[[Sequence[Any]], bool],
) -> float:
    """Return how long it took until the campaign stood so."""
    while True:
        row = await (await database.execute(_STANDS, (campaign_id,))).fetchone()
        assert row is not None, "the campaign exists"
        if row[2] and holds(row):
            return time.perf_counter() - began
        if time.perf_counter() - began > whole.SETTLE_SECONDS_MAX:
            raise SystemExit(f"The campaign stands still: {row}.")
        await asyncio.sleep(0.1)


async def _send_urgent(second: Whole, stop: asyncio.Event) -> list[UUID]:
    ids: list[UUID] = []
    while not stop.is_set():
        answer = await second.ask("/v1/messages", second.message(len(ids), lane="priority"))
        ids.append(UUID(answer["id"].removeprefix("msg_")))
        await asyncio.sleep(1 / URGENT_PER_SECOND)
    return ids


async def _waits(database: AsyncConnection[Any], ids: list[UUID]) -> list[float]:
    cursor = await database.execute(_URGENT, (ids,))
    return sorted([float(row[0]) for row in await cursor.fetchall()])


def _forget_peaks(pids: dict[str, int]) -> None:
    for pid in pids.values():
        # Makes the kernel measure the peak anew.
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _cpu_seconds(pid: int) -> float:
    """Return what a process and those that it started used so far."""
    ticks = 0
    for child in [pid, *_children_of(pid)]:
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
