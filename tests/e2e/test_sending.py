import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.chaos.customers import (
    PRICE_MICROS,
    Client,
    Customer,
    Reception,
    Reply,
    open_reception,
)
from tests.chaos.platform import Platform
from tests.chaos.waiting import until

SENDERS = 64
FINAL_SECONDS = 20.0
#: The shortest validity that may be asked for.
TTL_SECONDS = 30


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    async with open_reception(Platform(running.process, running.data_dir)) as reception:
        yield reception


def body(number: int, text: str) -> dict[str, Any]:
    return {"to": f"+254711{number:06d}", "text": text, "sender": "SEMALINK"}


async def post(client: Client, message: dict[str, Any], key: str | None = None) -> Reply:
    return await client.ask("POST", "/v1/messages", message, idempotency_key=key)


async def reach(client: Client, message_id: str, status: str) -> Any:
    """Wait until a message stands so, and return it."""

    async def look() -> Any:
        message = await client.message(message_id)
        return message if message["status"] == status else None

    return await until(look, f"{message_id} is {status}", within_seconds=FINAL_SECONDS)


async def test_parallel_senders_spend_exactly_what_is_there(reception: Reception) -> None:
    customer = await reception.open(credit_micros=100 * PRICE_MICROS)
    numbers = iter(range(3 * SENDERS))

    async def send_while_there_are() -> list[Reply]:
        return [
            await post(customer.live, body(number, f"race {number}"), f"race-{number}")
            for number in numbers
        ]

    replies = await asyncio.gather(*(send_while_there_are() for _ in range(SENDERS)))

    flat = [reply for several in replies for reply in several]
    assert Counter(reply.status for reply in flat) == {202: 100, 402: 3 * SENDERS - 100}
    balance = await customer.live.balance()
    assert balance["available_micros"] == 0
    accepted = [reply.body["id"] for reply in flat if reply.status == 202]
    await asyncio.gather(*(reach(customer.live, one, "delivered") for one in accepted))
    assert await customer.live.balance() == dict.fromkeys(balance, 0)


async def test_send_with_the_same_key_answers_as_before(reception: Reception) -> None:
    customer = await reception.open(credit_micros=10 * PRICE_MICROS)
    message = body(1, "once")

    first, *others = await asyncio.gather(
        *(post(customer.live, message, "same") for _ in range(20))
    )
    later = await post(customer.live, message, "same")
    another = await post(customer.live, body(1, "twice"), "same")

    replies = [first, *others, later]
    assert {(reply.status, reply.body["id"]) for reply in replies} == {(202, first.body["id"])}
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) == 1
    assert (another.status, another.body["code"]) == (422, "idempotency_key_reused")
    await reach(customer.live, first.body["id"], "delivered")
    balance = await customer.live.balance()
    assert balance["posted_micros"] == 9 * PRICE_MICROS


async def test_send_that_was_refused_for_credit_stays_refused_after_a_top_up(
    reception: Reception,
) -> None:
    customer = await reception.open()
    message = body(2, "poor")
    refused = await post(customer.live, message, "poor")

    await reception.top_up(customer.account_id, PRICE_MICROS)
    again = await post(customer.live, message, "poor")
    anew = await post(customer.live, message, "rich")

    assert (refused.status, again.status, anew.status) == (402, 402, 202)
    assert refused.body["code"] == again.body["code"] == "insufficient_credits"
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_send_with_a_test_key_costs_nothing(reception: Reception) -> None:
    customer = await reception.open()

    reply = await post(customer.test, body(3, "only a test"), "test")
    message = await reach(customer.test, reply.body["id"], "delivered")

    assert reply.status == 202
    assert message["charged_micros"] == 0
    assert message["route"]["aggregator"] == "sandbox"
    assert not [
        step for step in await customer.test.steps(reply.body["id"]) if step.startswith("credit.")
    ]
    assert set((await customer.live.balance()).values()) == {0}


async def test_explain_tells_the_whole_way_of_a_message(reception: Reception) -> None:
    customer = await reception.open(credit_micros=10 * PRICE_MICROS)
    # Acts out a refusal by the first aggregator, and delivery by the second.
    asked = {**body(5, "Tŵr"), "to": "+254700000119"}
    reply = await post(customer.live, asked, "explained")
    await reach(customer.live, reply.body["id"], "delivered")

    explained = await customer.live.ask("GET", f"/v1/messages/{reply.body['id']}/explain")

    refused, taken = explained.body["attempts"]
    assert (refused["outcome"], taken["outcome"]) == ("refused", "accepted")
    assert "1002" in refused["answer"]
    assert "700000119" not in refused["answer"] + taken["answer"]
    assert explained.body["text"]["forcing_characters"] == [{"character": "ŵ", "positions": [1]}]
    assert [one["state"] for one in explained.body["reports"]][-1] == "delivered"
    assert [one["name"] for one in explained.body["credits"]] == [
        "credit.reserved",
        "credit.charged",
    ]


async def test_send_with_a_revoked_key_is_refused(reception: Reception) -> None:
    customer = await reception.open(credit_micros=100 * PRICE_MICROS)
    before = await post(customer.live, body(4, "before"))

    await reception.revoke(customer)
    refused = await until(lambda: unauthorised(customer), "the key is refused", within_seconds=2.0)

    assert before.status == 202
    assert refused.body["code"] == "invalid_api_key"
    # The other key of the account goes on working.
    assert (await post(customer.test, body(4, "after"))).status == 202


async def unauthorised(customer: Customer) -> Reply | None:
    reply = await post(customer.live, body(4, "after"))
    return reply if reply.status == 401 else None


async def test_submit_serves_priority_first_when_there_is_a_backlog(reception: Reception) -> None:
    customer = await reception.open(credit_micros=1_000 * PRICE_MICROS)
    lanes = ["normal"] * 500 + ["priority"] * 20

    async with reception.sandbox_set("celcom", latency_ms=100):
        with reception.platform.stopped("worker-sms"):
            replies = [
                await post(customer.live, body(number, f"lane {number}") | {"lane": lane})
                for number, lane in enumerate(lanes)
            ]
        ids = [reply.body["id"] for reply in replies]
        # One after another: hundreds of questions at once would be a load of their own.
        for one in ids:
            await reach(customer.live, one, "delivered")

    messages = [await customer.live.message(one) for one in ids]
    order = [one["lane"] for one in sorted(messages, key=lambda one: one["submitted_at"])]
    last_priority = max(place for place, lane in enumerate(order) if lane == "priority")
    assert last_priority < len(lanes) / 2


async def test_message_expires_and_is_released_when_its_time_passed_in_the_queue(
    reception: Reception,
) -> None:
    customer = await reception.open(credit_micros=10 * PRICE_MICROS)
    with reception.platform.stopped("worker-sms"):
        short = await post(customer.live, body(5, "short") | {"ttl_seconds": TTL_SECONDS})
        long = await post(customer.live, body(5, "long") | {"ttl_seconds": 10 * TTL_SECONDS})
        loop = asyncio.get_running_loop()
        over_at = loop.time() + TTL_SECONDS

        async def is_over() -> bool:
            return loop.time() > over_at

        await until(is_over, "its time has passed", within_seconds=TTL_SECONDS + 5)

    expired = await reach(customer.live, short.body["id"], "expired")
    await reach(customer.live, long.body["id"], "delivered")
    assert expired["failure"]["code"] == "expired_in_queue"
    steps = await customer.live.steps(short.body["id"])
    assert steps == ["message.accepted", "credit.reserved", "message.expired", "credit.released"]
    balance = await customer.live.balance()
    assert balance["available_micros"] == balance["posted_micros"] == 9 * PRICE_MICROS
