import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from tests.chaos.customers import Customer, Reception, open_reception
from tests.chaos.load import Load
from tests.chaos.platform import BROKER, DATABASE, Platform
from tests.chaos.storm import CREDIT_MICROS, assert_nothing_lost, grow, settle, under_load
from tests.chaos.waiting import until
from tests.e2e.conftest import folder_for_servers, running_platform
from tests.e2e.receiver import Receiver, receiving

#: Not ours to deploy: the servers, and what stands in for the aggregators.
LEFT_ALONE = (DATABASE, BROKER, "sandbox")
#: Calls are under way at any time.
SLOW = {"latency_ms": 400, "latency_jitter_ms": 200}
MESSAGES_BETWEEN = (10, 40)
#: A kill costs half a minute, until the queue gives out again what a worker had; a deploy does not.
SETTLE_SECONDS = 15.0

_log = logging.getLogger(__name__)


@pytest.fixture
async def pairs() -> AsyncIterator[Reception]:
    """A platform of which two processes answer customers, and a moment to turn to the other."""
    with (
        folder_for_servers() as data_dir,
        running_platform(data_dir, "--workers", "2", SEMALINK_DRAIN_SECONDS="1") as running,
    ):
        platform = Platform(running.process, running.data_dir)
        async with open_reception(platform) as reception:
            yield reception


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where the customer hears of every message that was delivered."""
    async with receiving() as receiver:
        yield receiver


async def test_rolling_restart_of_every_process_loses_nothing_and_repeats_nothing(
    pairs: Reception, receiver: Receiver, chance: random.Random
) -> None:
    platform = pairs.platform
    names = [name for name in platform.quickstart["pids"] if name not in LEFT_ALONE]
    customer = await pairs.open(credit_micros=CREDIT_MICROS)
    await _register(customer, receiver)
    load = Load(customer.live, "deploy", chance)

    async with pairs.sandbox_set("celcom", **SLOW), under_load(load):
        await grow(load, 60)
        for name in names:
            took = await platform.deploy(name).overcome()
            _log.warning("%s was of use again after %.1f s", name, took)
            await grow(load, chance.randint(*MESSAGES_BETWEEN))
    settled = await settle(pairs, load, within_seconds=SETTLE_SECONDS)

    _log.warning("everything had come to its end %.1f s after the load", settled)
    findings = await assert_nothing_lost(pairs, customer, load)
    assert {story.calls for story in findings.stories.values()} == {1}, "no call was cut off"
    assert load.refused == {}
    assert load.unreachable_count == 0, "somebody listens at any time"
    for name in names:
        assert f"{name} ended with status 0; starting it again" in platform.said
    await _heard_once_of_each(receiver, load)


async def _register(customer: Customer, receiver: Receiver) -> None:
    wanted = {
        "url": receiver.url,
        "event_types": ["message.delivered"],
        "rate_per_second": 500,
        "concurrency": 50,
    }
    reply = await customer.live.ask("POST", "/v1/webhook-endpoints", wanted)
    assert reply.status == 201, reply
    receiver.secret = reply.body["secret"]


async def _heard_once_of_each(receiver: Receiver, load: Load) -> None:
    async def heard_of_all() -> bool:
        return len(receiver.bodies) >= len(load.acknowledged)

    await until(heard_of_all, "the customer hears of each", within_seconds=SETTLE_SECONDS)
    heard = Counter(UUID(event["data"]["id"].removeprefix("msg_")) for event in receiver.taken)
    assert heard == Counter(dict.fromkeys(load.acknowledged, 1))
