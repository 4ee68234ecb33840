import logging
import random
import time

from tests.chaos.customers import Reception
from tests.chaos.load import Load
from tests.chaos.platform import BROKER
from tests.chaos.storm import CREDIT_MICROS, assert_nothing_lost, grow, settle, under_load

SETTLE_SECONDS = 30.0

_log = logging.getLogger(__name__)


async def test_wiped_broker_costs_no_message_and_repeats_none(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "wiped", chance)
    platform = reception.platform

    # The worker is idle as it stops, so that it holds no lock; what the queue holds is lost.
    with platform.unattended(), platform.stopped("worker-sms"):
        async with under_load(load):
            await grow(load, chance.randint(40, 120))
            death = platform.kill(BROKER)
            platform.wipe_broker()
            await grow(load, 60)
    revived = await death.overcome()
    settled = await settle(reception, load, within_seconds=SETTLE_SECONDS)

    _log.warning("the broker was back after %.1f s, everything done %.1f s later", revived, settled)
    assert load.refused == {}, "no request waits for the broker"
    await assert_nothing_lost(reception, customer, load)


async def test_sends_without_broker_are_accepted_and_go_out_when_it_is_back(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "no-broker", chance)
    platform = reception.platform

    with platform.unattended():
        death = platform.kill(BROKER)
        began = time.monotonic()
        for _ in range(20):
            await load.send(load.next())
        took = time.monotonic() - began
    await death.overcome()
    settled = await settle(reception, load, within_seconds=SETTLE_SECONDS)

    _log.warning("20 sends without a broker took %.2f s, and %.1f s to go out", took, settled)
    assert load.refused == {}
    assert load.broken_count == 0
    await assert_nothing_lost(reception, customer, load)
