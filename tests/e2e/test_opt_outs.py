from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.chaos.customers import PRICE_MICROS, Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import until

#: Stopped for the whole platform, so that no other test may write to it.
NUMBER = "+254711987001"


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    async with open_reception(Platform(running.process, running.data_dir)) as reception:
        yield reception


async def test_send_is_refused_and_costs_nothing_once_the_recipient_stopped_the_sender(
    reception: Reception,
) -> None:
    customer = await reception.open(credit_micros=10 * PRICE_MICROS)
    message = {"to": NUMBER, "text": "Sale today!", "sender": "SEMALINK"}

    await reception.stop_sender(NUMBER, "SEMALINK")

    async def look() -> Any:
        path = f"/admin/v1/opt-outs?number={quote(NUMBER, safe='')}"
        return (await reception.ask_admin(path))["items"]

    [recorded] = await until(look, "the opt-out is recorded", within_seconds=10)
    replies = [
        await client.ask("POST", "/v1/messages", message)
        for client in (customer.live, customer.test)
    ]
    balance = await customer.live.balance()
    assert (recorded["account_id"], recorded["sender"]) == (None, "SEMALINK")
    assert recorded["source"] == "aggregator_callback"
    assert [(one.status, one.body["code"]) for one in replies] == [(422, "recipient_opted_out")] * 2
    assert (balance["available_micros"], balance["reserved_micros"]) == (10 * PRICE_MICROS, 0)
