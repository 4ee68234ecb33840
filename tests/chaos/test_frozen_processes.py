import logging
import random

from tests.chaos.customers import Reception
from tests.chaos.load import Load
from tests.chaos.storm import CREDIT_MICROS, assert_nothing_lost, grow, settle, under_load

#: They hold locks of the database for moments, and may be caught in one.
LOCKERS = ("worker-sms", "worker-dlr", "projector", "relay", "dlr-intake")
SETTLE_SECONDS = 34.0

_log = logging.getLogger(__name__)


async def test_frozen_processes_hold_up_others_no_longer_than_a_transaction_may_last(
    reception: Reception, chance: random.Random
) -> None:
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "frozen", chance, per_second=120)
    frozen = chance.sample(LOCKERS, 2)
    _log.warning("These freeze: %s", ", ".join(frozen))

    async with under_load(load):
        for name in frozen:
            await grow(load, chance.randint(20, 60))
            with reception.platform.stopped(name):
                await grow(load, 60, within_seconds=15)
    settled = await settle(reception, load, within_seconds=SETTLE_SECONDS)

    _log.warning("everything had come to its end %.1f s after the load", settled)
    await assert_nothing_lost(reception, customer, load)
