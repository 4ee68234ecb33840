"""Results of a campaign over a real database: what its events came to, and a file of thousands."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import create_engine
from tests.integration.projections.worlds import START, draft_of, record
from uuid_utils.compat import uuid7

from semalink.application.campaign_csv import outcome_lines
from semalink.application.campaign_results import results_of
from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.projections.messages import MESSAGES
from semalink.projections.runner import ProjectionRunner
from semalink.projections.usage import USAGE
from semalink_adapters.postgres.campaign_results import PostgresCampaignResults
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url

RECIPIENT_COUNT = 2_000
#: Every tenth is left out, and the last hundred were not accepted yet.
LEFT_OUT_COUNT = RECIPIENT_COUNT // 10
ACCEPTED_MAX = RECIPIENT_COUNT - 100
ACCEPTED_COUNT = ACCEPTED_MAX - ACCEPTED_MAX // 10

INSERT_CAMPAIGN = """
INSERT INTO campaigns (
    campaign_id, account_id, billing_account_id, mode, state, plan, revision, quote, message_count,
    reserved_micros, started_at, created_by, created_at, changed_at)
VALUES (%(id)s, %(account_id)s, %(payer_id)s, 'live', 'sending', '{"name": "Offer"}', 1,
    '{"message_count": 2700, "price_micros": 99, "left_out": {"opted_out": 300}}', 2700,
    2700000000, %(at)s, 'key:desk', %(at)s, %(at)s)"""

READ_CURSOR = "SELECT xid::text, position FROM cursors WHERE name = %s"
MOVE_CURSOR = "UPDATE cursors SET xid = %s, position = %s WHERE name = %s"

INSERT_RECIPIENTS = """
INSERT INTO campaign_recipients (campaign_id, place, number, state, reason)
SELECT %s, n, '+2547' || lpad(n::text, 8, '0'),
       CASE n %% 10 WHEN 0 THEN 'left_out' ELSE 'ready' END,
       CASE n %% 10 WHEN 0 THEN 'opted_out' END
FROM generate_series(0, %s - 1) AS n"""


def _events(account_id: UUID, campaign_id: UUID) -> list[Any]:
    dice, events = random.Random(1), list[Any]()
    for place in range(ACCEPTED_MAX):
        if place % 10 == 0:
            continue
        cause = Cause("worker:content", START + timedelta(milliseconds=place), "job_1")
        draft = draft_of(dice, account_id, campaign_id)
        draft = replace(draft, to=f"+2547{place:08}", mode="live", network="safaricom")
        message = Message.accept(uuid7(), draft, cause)
        if place % 2:
            message.start_submission("celcom", cause)
            message.record_receipt(
                1, "celcom", f"ref-{place}", cause, charged_micros=800_000, network=None, cost=None
            )
        events += message.collect_events()
    return events


@pytest.fixture
def campaign(database_url: str) -> tuple[UUID, UUID]:
    """The account and the id of a campaign that is half sent, with its read models."""
    account_id, campaign_id = uuid7(), uuid7()
    events = _events(account_id, campaign_id)
    record(database_url, "message_events", events)
    with psycopg.connect(database_url) as connection:
        facts = {"id": campaign_id, "account_id": account_id, "payer_id": account_id, "at": START}
        connection.execute(INSERT_CAMPAIGN, facts)
        connection.execute(INSERT_RECIPIENTS, (campaign_id, RECIPIENT_COUNT))
    engine = create_engine(sqlalchemy_url(database_url))
    for projection in (MESSAGES, USAGE):
        runner, left = ProjectionRunner(engine, projection, EventMapper.read), len(events)
        while left > 0:
            left -= runner.step().event_count
    engine.dispose()
    return account_id, campaign_id


async def test_results_and_file_agree_about_thousands(
    pool: AsyncConnectionPool[Any], campaign: tuple[UUID, UUID]
) -> None:
    reads = PostgresCampaignResults(pool)
    account_id, campaign_id = campaign

    facts = await reads.facts(campaign_id, account_id, "live")
    assert facts is not None
    results, after, lines = results_of(facts, "auto"), -1, list[bytes]()
    while page := await reads.outcomes(campaign_id, account_id, after=after, limit=700):
        lines += outcome_lines(facts, page).splitlines()
        after = page[-1].place

    statuses = [line.split(b",")[1] for line in lines]
    assert [line.split(b",")[0] for line in lines] == [
        b"+2547%08d" % place for place in range(RECIPIENT_COUNT)
    ]
    assert results.counts.accepted == ACCEPTED_COUNT
    assert results.counts.submitted == statuses.count(b"submitted") == ACCEPTED_MAX // 2
    assert results.counts.waiting == statuses.count(b"accepted")
    assert statuses.count(b"left_out") == LEFT_OUT_COUNT
    assert statuses.count(b"waiting") == 90
    assert results.money.charged_micros == results.counts.submitted * 800_000
    assert results.money.still_reserved_micros == 2_700_000_000 - results.money.charged_micros
    assert sum(point.accepted for point in results.curve) == ACCEPTED_COUNT


async def test_file_waits_for_the_list_when_the_campaign_is_completed(
    pool: AsyncConnectionPool[Any], campaign: tuple[UUID, UUID], database_url: str
) -> None:
    reads = PostgresCampaignResults(pool)
    account_id, campaign_id = campaign
    told: list[bool] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE campaigns SET state = 'completed', completed_at = now()")
        for name in ("messages", "usage"):
            kept = connection.execute(READ_CURSOR, (name,)).fetchone()
            connection.execute(MOVE_CURSOR, ("0", 0, name))
            facts = await reads.facts(campaign_id, account_id, "live")
            connection.execute(MOVE_CURSOR, (*kept, name))  # type: ignore[misc]
            told.append(facts is not None and facts.is_listed)

    facts = await reads.facts(campaign_id, account_id, "live")

    assert facts is not None
    assert (told, facts.is_listed) == ([False, False], True)


async def test_results_of_agents_customer_are_in_its_own_prices(
    pool: AsyncConnectionPool[Any], database_url: str
) -> None:
    account_id, campaign_id = uuid7(), uuid7()
    with psycopg.connect(database_url) as writer:
        writer.execute(
            INSERT_CAMPAIGN,
            {"id": campaign_id, "account_id": account_id, "payer_id": uuid7(), "at": START},
        )

    reads = PostgresCampaignResults(pool)
    facts = await reads.facts(campaign_id, account_id, "live")

    assert facts is not None
    assert facts.reserved_micros == 99
    assert await reads.facts(campaign_id, uuid7(), "live") is None
    assert await reads.facts(campaign_id, account_id, "test") is None
