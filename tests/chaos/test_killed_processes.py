import asyncio
import logging
import random

from tests.chaos.customers import Reception
from tests.chaos.load import Load
from tests.chaos.platform import BROKER, DATABASE
from tests.chaos.storm import CREDIT_MICROS, assert_nothing_lost, grow, settle, under_load

#: What they had in hand is delivered to their successors after half a minute: these die first.
HOLDERS = ("worker-sms", "worker-dlr")
OTHERS = ("api", "relay", DATABASE, BROKER, "dlr-intake", "projector")
#: Slow, so that calls are under way at any time, and some answers are lost.
SLOW = {"latency_ms": 150, "latency_jitter_ms": 100, "answer_lost_rate": 0.03}
#: Between two faults, by chance.
MESSAGES_BETWEEN = (10, 60)
SETTLE_SECONDS = 36.0

_log = logging.getLogger(__name__)


async def test_kill_of_every_process_loses_nothing_and_repeats_nothing(
    reception: Reception, chance: random.Random
) -> None:
    schedule = [*chance.sample(HOLDERS, len(HOLDERS)), *chance.sample(OTHERS, len(OTHERS))]
    _log.warning("The order of faults: %s", ", ".join(schedule))
    customer = await reception.open(credit_micros=CREDIT_MICROS)
    load = Load(customer.live, "storm", chance)

    async with (
        reception.sandbox_set("celcom", **SLOW, seed=chance.randrange(1_000)),
        under_load(load),
    ):
        await grow(load, 60)
        deaths = []
        for name in schedule:
            deaths.append(reception.platform.kill(name))
            await grow(load, chance.randint(*MESSAGES_BETWEEN))
        revivals = await asyncio.gather(*(death.overcome() for death in deaths))
    settled = await settle(reception, load, within_seconds=SETTLE_SECONDS)

    for death, seconds in zip(deaths, revivals, strict=True):
        _log.warning("%s was of use again after %.1f s", death.name, seconds)
    _log.warning("everything had come to its end %.1f s after the load", settled)
    await assert_nothing_lost(reception, customer, load)
