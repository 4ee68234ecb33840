import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import nats
import pytest
from nats.js.api import StreamInfo
from tests.chaos.customers import PRICE_MICROS, Customer, Reception, open_reception
from tests.chaos.platform import BROKER, DATABASE, Platform
from tests.chaos.waiting import until

#: Taken, and never reported, so that the test can report it.
UNREPORTED = "+254700000118"
WAIT_SECONDS = 20.0
#: No aggregator waits for ever.
REFUSAL_SECONDS = 8.0

_log = logging.getLogger(__name__)


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    platform = Platform(running.process, running.data_dir)
    await until(platform.whole, "every process is of use", within_seconds=30)
    async with open_reception(platform) as reception:
        yield reception


@pytest.fixture
async def customer(reception: Reception) -> Customer:
    return await reception.open(credit_micros=10 * PRICE_MICROS)


@dataclass
class Reporter:
    """Posts reports as Celcom does, and asks what the broker holds."""

    platform: Platform
    session: aiohttp.ClientSession

    async def report(self, reference: str) -> int:
        """Say that a message was delivered, and return the status of the answer."""
        secret = (self.platform.data_dir / "secrets" / "celcom_dlr_secret").read_text()
        report = {
            "description": "DeliveredToTerminal",
            "messageid": reference,
            "timeTaken": "1s",
            "timestamp": "2026-11-23 09:00:00",
        }
        url = f"{self.platform.url('dlr')}/dlr/celcom/{secret}"
        async with self.session.post(url, json=report) as response:
            await response.read()
            return response.status

    async def stored_in_broker(self) -> StreamInfo:
        client = await nats.connect(self.platform.quickstart["nats_url"])
        try:
            return await client.jetstream().stream_info("DLR_INBOUND")
        finally:
            await client.close()


@pytest.fixture
async def reporter(reception: Reception) -> AsyncIterator[Reporter]:
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield Reporter(reception.platform, session)


async def submitted(customer: Customer, text: str) -> Any:
    """Send a message that no report will come for, and return it once it was taken."""
    message_id = await customer.live.send(UNREPORTED, text)

    async def look() -> Any:
        message = await customer.live.message(message_id)
        return message if message["status"] == "submitted" else None

    return await until(look, "it was taken", within_seconds=WAIT_SECONDS)


def is_delivered(customer: Customer, message_id: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        reply = await customer.live.ask("GET", f"/v1/messages/{message_id}")
        # The first that asks a database which came back may still be told to ask again.
        assert reply.status == 200 or reply.body["retryable"], reply
        return reply.status == 200 and reply.body["status"] == "delivered"

    return look


async def test_store_report_keeps_it_in_the_broker_when_the_database_is_away(
    reception: Reception, customer: Customer, reporter: Reporter
) -> None:
    messages = [await submitted(customer, f"report without database {n}") for n in range(3)]
    before = await reporter.stored_in_broker()
    platform = reception.platform

    with platform.unattended():
        death = platform.kill(DATABASE)
        await platform.sees_fault("api")
        began = time.monotonic()
        statuses = await asyncio.gather(
            *(reporter.report(message["route"]["reference"]) for message in messages)
        )
        took = time.monotonic() - began
        during = await reporter.stored_in_broker()
    revived = await death.overcome()

    _log.warning("stored in the broker within %.2f s; database back after %.1f s", took, revived)
    assert statuses == [200, 200, 200]
    assert during.state.last_seq == before.state.last_seq + 3
    for message in messages:
        what = "its report counts"
        await until(is_delivered(customer, message["id"]), what, within_seconds=WAIT_SECONDS)
    balance = await customer.live.balance()
    assert balance["posted_micros"] == 7 * PRICE_MICROS
    assert balance["reserved_micros"] == 0


async def test_store_report_is_refused_when_database_and_broker_are_away(
    reception: Reception, customer: Customer, reporter: Reporter
) -> None:
    message = await submitted(customer, "report without anything")
    reference = message["route"]["reference"]
    platform = reception.platform

    with platform.unattended():
        deaths = [platform.kill(DATABASE), platform.kill(BROKER)]
        await platform.sees_fault("dlr-intake")
        began = time.monotonic()
        refused = await reporter.report(reference)
        took = time.monotonic() - began
    for death in deaths:
        await death.overcome()
    repeated = await reporter.report(reference)

    _log.warning("refused after %.2f s", took)
    assert (refused, repeated) == (503, 200)
    assert took < REFUSAL_SECONDS
    what = "the repetition counts"
    await until(is_delivered(customer, message["id"]), what, within_seconds=WAIT_SECONDS)
