"""A feed that meets an event that it cannot read stops there, says so, and goes on when mended."""

import asyncio
from typing import Any

from semalink_adapters.postgres.feed import connect
from semalink_ops.feeding import Feeding
from semalink_ops.observability.feed_metrics import FeedMetrics
from semalink_ops.observability.metrics import Metrics
from semalink_ops.runtime import wait_for_stop

SECONDS_MAX = 20.0


async def test_feed_stops_at_a_poisoned_event_and_goes_on_when_it_is_mended(
    desk: Any, books: Any, database_url: str, tamper: Any
) -> None:
    account_id = await desk.open_account(message_count=3)
    await desk.accept_job(account_id)
    poisoned = await desk.accept_job(account_id)
    await desk.accept_job(account_id)
    [(state,)] = books.all(
        "SELECT state FROM message_events WHERE originator_id = %s", poisoned.message_id
    )
    set_state = "UPDATE message_events SET state = %s WHERE originator_id = %s"
    tamper(set_state, b"{}", poisoned.message_id)
    metrics, stop = Metrics(), asyncio.Event()

    def is_failing() -> bool:
        labels = {"projection": "feed"}
        return metrics.registry.get_sample_value("semalink_projection_failing", labels) == 1

    with connect(database_url) as connection:
        feeding = Feeding(connection, FeedMetrics(metrics))
        following = asyncio.create_task(feeding.follow(asyncio.Event(), stop))
        async with asyncio.timeout(SECONDS_MAX):
            while not is_failing():
                await wait_for_stop(stop, 0.02)
        told = [name for (name,) in books.all("SELECT name FROM account_events ORDER BY sequence")]
        tamper(set_state, state, poisoned.message_id)
        async with asyncio.timeout(SECONDS_MAX):
            while books.one("SELECT count(*) FROM account_events") < 7:
                await wait_for_stop(stop, 0.02)
        stop.set()
        await following

    assert "message.accepted" in told
    assert told.count("message.accepted") == 1
    assert not is_failing()
