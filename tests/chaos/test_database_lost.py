import asyncio
import logging
import random
import signal
import time

from tests.chaos.customers import Client, Reception
from tests.chaos.load import Load
from tests.chaos.platform import DATABASE, Death
from tests.chaos.storm import CREDIT_MICROS, assert_nothing_lost, grow, settle, under_load

SETTLE_SECONDS = 30.0
#: What a customer takes for an answer at once.
AT_ONCE_SECONDS = 2.0

_log = logging.getLogger(__name__)


async def test_restart_of_the_database_loses_nothing_that_was_acknowledged(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "restart", chance)

    async with under_load(load):
        for number in chance.sample([signal.SIGINT, signal.SIGKILL], 2):
            await grow(load, chance.randint(30, 60))
            pid = reception.platform.signal(DATABASE, number)
            revived = await Death(reception.platform, DATABASE, pid).overcome()
            _log.warning("after %s the database was back after %.1f s", number.name, revived)
        await grow(load, 60)
    settled = await settle(reception, load, within_seconds=SETTLE_SECONDS)

    _log.warning("everything was done %.1f s after the load", settled)
    await assert_nothing_lost(reception, customer, load)


async def test_send_without_database_is_answered_503_at_once(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "no-database", chance)
    for _ in range(10):
        await load.send(load.next())
    platform = reception.platform

    with platform.unattended():
        death = platform.kill(DATABASE)
        await platform.sees_fault("api")
        seconds = [await _refusal_seconds(customer.live, load) for _ in range(5)]
        seconds += await asyncio.gather(*(_refusal_seconds(customer.live, load) for _ in range(50)))
    await death.overcome()
    await load.send(load.next())
    await settle(reception, load, within_seconds=SETTLE_SECONDS)

    _log.warning("refusals took %.3f s at most, %.3f s at least", max(seconds), min(seconds))
    assert max(seconds) < AT_ONCE_SECONDS
    await assert_nothing_lost(reception, customer, load)


async def _refusal_seconds(client: Client, load: Load) -> float:
    began = time.monotonic()
    reply = await client.ask("POST", "/v1/messages", load.next().body())
    assert reply.status == 503, reply
    assert reply.headers["Retry-After"] == "1"
    assert reply.body["code"] == "service_unavailable"
    return time.monotonic() - began
