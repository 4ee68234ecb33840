"""A campaign whose scheduler and workers are killed in the middle of it."""

import asyncio
import random
import sys
from collections import Counter
from uuid import UUID

import aiohttp
import psycopg
from tests.chaos import campaigns
from tests.chaos.customers import Reception
from tests.chaos.platform import BROKER
from tests.chaos.storm import audit
from tests.chaos.waiting import until

RECIPIENTS = 600
CREDIT_MICROS = 1_000_000_000
#: Those that bring a campaign on; the broker in between.
VICTIMS = ("scheduler", "worker-sms", BROKER, "worker-background", "worker-sms", "scheduler")
SLOW = {"latency_ms": 200, "latency_jitter_ms": 100, "answer_lost_rate": 0.02}
#: Two workers die with bundles in hand, which are delivered again after half a minute each.
SETTLE_SECONDS = 120.0
#: Between two faults, by chance.
PAUSE_SECONDS = (0.2, 1.5)


async def test_kill_during_a_campaign_sends_at_most_once_and_settles_to_the_micro(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    platform = reception.platform
    database_url = platform.quickstart["database_url"]
    account_id = UUID(customer.account_id.removeprefix("acct_"))
    text = f"campaign {chance.randrange(10**9)}"

    async with reception.sandbox_set("celcom", **SLOW, seed=chance.randrange(1_000)):
        campaign_id = await campaigns.schedule(database_url, account_id, text, RECIPIENTS)
        for name in VICTIMS:
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
            await platform.kill(name).overcome()
        settled = await until(
            lambda: _settled(database_url, campaign_id),
            "the campaign is settled",
            within_seconds=SETTLE_SECONDS,
            ignoring=(psycopg.OperationalError,),
        )

    arrived = await _arrivals(platform.url("sandbox"), text)
    count, charged_micros = await campaigns.charges(database_url, campaign_id)
    assert settled.state == "completed"
    assert max(arrived.values()) == 1
    assert count <= len(arrived) <= RECIPIENTS
    assert len(arrived) > RECIPIENTS * 0.8
    assert charged_micros == count * campaigns.PRICE_MICROS
    assert settled.reserved_micros == RECIPIENTS * campaigns.PRICE_MICROS
    assert settled.released_micros == settled.reserved_micros - charged_micros
    assert (await customer.live.balance())["reserved_micros"] == 0
    assert await _verify(platform.data_dir) == 0
    await audit(reception)


async def test_cancel_while_a_worker_dies_settles_and_sends_nothing_more(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    platform = reception.platform
    database_url = platform.quickstart["database_url"]
    account_id = UUID(customer.account_id.removeprefix("acct_"))
    text = f"cancelled {chance.randrange(10**9)}"

    async with reception.sandbox_set("celcom", **SLOW, seed=chance.randrange(1_000)):
        campaign_id = await campaigns.schedule(database_url, account_id, text, RECIPIENTS)
        await until(
            lambda: _arrivals(platform.url("sandbox"), text),
            "its first messages arrived",
            within_seconds=SETTLE_SECONDS,
        )
        death = platform.kill("worker-sms")
        await campaigns.cancel(database_url, campaign_id)
        await death.overcome()
        settled = await until(
            lambda: _settled(database_url, campaign_id),
            "the campaign is settled",
            within_seconds=SETTLE_SECONDS,
        )

    arrived = await _arrivals(platform.url("sandbox"), text)
    count, charged_micros = await campaigns.charges(database_url, campaign_id)
    assert settled.state == "cancelled"
    assert max(arrived.values()) == 1
    assert count <= len(arrived)
    assert settled.released_micros == RECIPIENTS * campaigns.PRICE_MICROS - charged_micros
    assert (await customer.live.balance())["reserved_micros"] == 0
    await audit(reception)


async def _settled(database_url: str, campaign_id: UUID) -> campaigns.Standing | None:
    found = await campaigns.standing(database_url, campaign_id)
    return found if found.is_settled else None


async def _arrivals(sandbox_url: str, text: str) -> Counter[str]:
    arrived: Counter[str] = Counter()
    since = 0
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            async with session.get(
                f"{sandbox_url}/control/deliveries", params={"since": since, "limit": 5_000}
            ) as answer:
                page = await answer.json()
            arrived.update(item["number"] for item in page["items"] if item["text"] == text)
            since = page["next_since"]
            if len(page["items"]) < 5_000:
                return arrived


async def _verify(data_dir: object) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "semalink_ops.cli", "ledger", "verify", "--data-dir", str(data_dir)
    )
    return await process.wait()
