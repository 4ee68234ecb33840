import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.customers import PRICE_MICROS, Customer, Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import until
from tests.e2e.conftest import Running, folder_for_servers, running_platform

TO = "+254711000100"
#: From the first error of an outage until all messages go another way.
FAIL_OVER_SECONDS = 10.0
#: The first rest is 15 seconds, and three probes follow.
COME_BACK_SECONDS = 60.0
WAIT_SECONDS = 20.0
#: Longer than the silence after which a route is left, and shorter than a call may take.
PAUSE_MS = 6_500


@pytest.fixture(scope="module")
def running_alone() -> Iterator[Running]:
    """A platform whose routes are nobody else's."""
    with folder_for_servers() as data_dir, running_platform(data_dir) as platform:
        yield platform


@pytest.fixture
def data_dir(running_alone: Running) -> Path:
    return running_alone.data_dir


@pytest.fixture
async def reception(running_alone: Running) -> AsyncIterator[Reception]:
    platform = Platform(running_alone.process, running_alone.data_dir)
    await until(platform.whole, "every process is of use", within_seconds=30)
    async with open_reception(platform) as reception:
        yield reception


@pytest.fixture
async def customer(reception: Reception) -> Customer:
    return await reception.open(credit_micros=10_000 * PRICE_MICROS)


@asynccontextmanager
async def traffic(customer: Customer) -> AsyncIterator[list[str]]:
    """Send twenty messages a second meanwhile, and keep their ids."""
    sent: list[str] = []
    stop = asyncio.Event()

    async def send() -> None:
        while not stop.is_set():
            sent.append(await customer.live.send(TO, f"Order {len(sent)} is on its way."))
            await asyncio.wait([asyncio.ensure_future(stop.wait())], timeout=0.05)

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        stop.set()
        await sending


def stands(reception: Reception, name: str, state: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        routes = (await reception.ask_admin("/admin/v1/routes"))["items"]
        return any((route["name"], route["state"]) == (name, state) for route in routes)

    return look


def delivered(customer: Customer, message_id: str) -> Callable[[], Awaitable[Any]]:
    async def look() -> Any:
        message = await customer.live.message(message_id)
        return message if message["status"] == "delivered" else None

    return look


async def test_pause_of_an_aggregator_loses_no_message(
    reception: Reception, customer: Customer
) -> None:
    async with traffic(customer) as sent:
        async with reception.sandbox_set("celcom", latency_ms=PAUSE_MS):
            await until(
                stands(reception, "celcom", "open"),
                "the route is out of use",
                within_seconds=2 * FAIL_OVER_SECONDS,
            )
        await until(
            stands(reception, "celcom", "closed"),
            "the route is in use again",
            within_seconds=COME_BACK_SECONDS,
        )

    # Those under way are answered late, and neither given up nor sent twice.
    for message_id in sent:
        message = await until(
            delivered(customer, message_id), "nothing is lost", within_seconds=WAIT_SECONDS
        )
        assert not message["possible_duplicate"]


async def test_traffic_leaves_an_aggregator_that_is_down_and_comes_back_by_itself(
    reception: Reception, customer: Customer, semalink: Any, data_dir: Path
) -> None:
    async with traffic(customer) as sent:
        async with reception.sandbox_set("celcom", outage="http_500"):
            await until(
                stands(reception, "celcom", "open"),
                "the route is out of use",
                within_seconds=FAIL_OVER_SECONDS,
            )
            meanwhile = await customer.live.send(TO, "Sent during the outage.")
            away = await until(
                delivered(customer, meanwhile), "it arrived", within_seconds=WAIT_SECONDS
            )
        await until(
            stands(reception, "celcom", "closed"),
            "the route is in use again",
            within_seconds=COME_BACK_SECONDS,
        )
        afterwards = await customer.live.send(TO, "Sent after the outage.")
        back = await until(
            delivered(customer, afterwards), "it arrived", within_seconds=WAIT_SECONDS
        )
    history = await asyncio.to_thread(
        semalink, "routes", "history", "celcom", "--json", data_dir=data_dir
    )

    assert away["route"]["aggregator"] == "africastalking"
    assert back["route"]["aggregator"] == "celcom"
    for message_id in sent:
        await until(delivered(customer, message_id), "nothing is lost", within_seconds=WAIT_SECONDS)
    names = [row["name"] for row in json.loads(history.stdout)["items"]]
    assert {
        "route.tripped", "route.probe_started", "route.probe_passed", "route.recovered",
    } <= set(names)  # fmt: skip
    assert names[0] == "route.recovered"


async def test_messages_of_an_enterprise_account_take_its_own_route(
    reception: Reception, customer: Customer, semalink: Any, data_dir: Path
) -> None:
    given = await asyncio.to_thread(
        semalink,
        *("routes", "dedicate", customer.account_id, "celcom-enterprise"),
        *("--reason", "contract 2026/117", "--json"),
        data_dir=data_dir,
    )

    message_id = await customer.live.send(TO, "By a way of our own.")
    # Its report comes to a path of its own, too.
    message = await until(
        delivered(customer, message_id), "it arrived", within_seconds=WAIT_SECONDS
    )

    assert given.returncode == 0, given.stderr
    assert message["route"]["aggregator"] == "celcom-enterprise"


async def test_outage_and_override_are_said_on_the_command_line(
    reception: Reception, customer: Customer, semalink: Any, data_dir: Path
) -> None:
    def run(*arguments: str) -> Any:
        done = semalink(*arguments, "--json", data_dir=data_dir)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["items"]

    off = await asyncio.to_thread(run, "outage", "celcom", "hang")
    on = await asyncio.to_thread(run, "outage", "celcom", "none")
    said = await asyncio.to_thread(
        run, "routes", "override", "africastalking", "prefer",
        "--account", customer.account_id, "--reason", "complaints", "--minutes", "5",
    )  # fmt: skip
    message_id = await customer.live.send(TO, "Another way.")
    message = await until(
        delivered(customer, message_id), "it arrived", within_seconds=WAIT_SECONDS
    )
    cleared = await asyncio.to_thread(
        run, "routes", "clear", "--account", customer.account_id, "--reason", "solved"
    )
    unknown = await asyncio.to_thread(semalink, "outage", "pigeon", "hang", data_dir=data_dir)

    assert {line["name"]: line["outage"] for line in off}["celcom"] == "hang"
    assert {line["outage"] for line in on} == {"none"}
    assert [each["reason"] for each in said if each["scope"] == "account"] == ["complaints"]
    assert message["route"]["aggregator"] == "africastalking"
    assert [each for each in cleared if each["scope"] == "account"] == []
    assert (unknown.returncode, "no pigeon" in unknown.stderr) == (3, True)
