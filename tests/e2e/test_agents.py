import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from tests.chaos.customers import PRICE_MICROS, Client
from tests.chaos.waiting import until

CREDITS_MICROS = 98_765_432
SOLD_MICROS = 1_234_567
SCOPES = [
    "balance:read", "customers:read", "customers:write", "ledger:read", "messages:read",
    "messages:send",
]  # fmt: skip
DELIVERED_SECONDS = 20.0


@dataclass
class Agency:
    """An agent with credits, its customer without, and whoever runs the platform."""

    operator: Client
    agent: Client
    agent_id: str
    customer: Client
    customer_id: str


async def made(client: Client, path: str, body: Any) -> Any:
    reply = await client.ask("POST", path, body)
    assert reply.status == 201, reply
    return reply.body


@pytest.fixture
async def agency(running: Any) -> AsyncIterator[Agency]:
    started = running.quickstart()
    api, admin = started["api_url"], started["admin_url"]
    async with aiohttp.ClientSession(trust_env=False) as session:
        operator = Client(session, admin, started["admin_key"])

        async def key_of(account_id: str) -> Client:
            wanted = {"name": "e2e", "mode": "live", "scopes": SCOPES}
            path = f"/admin/v1/accounts/{account_id}/api-keys"
            return Client(session, api, (await made(operator, path, wanted))["key"])

        accounts = "/admin/v1/accounts"
        agent_id = (await made(operator, accounts, {"name": "Agent", "kind": "agent"}))["id"]
        payment = {"amount_micros": CREDITS_MICROS, "payment_reference": f"e2e {agent_id}"}
        await made(operator, f"{accounts}/{agent_id}/top-ups", payment)
        agent = await key_of(agent_id)
        customer_id = (await made(agent, "/v1/customers", {"name": "Duka"}))["id"]
        yield Agency(operator, agent, agent_id, await key_of(customer_id), customer_id)


async def test_agents_credits_pay_and_the_agent_sees_the_margin(agency: Agency) -> None:
    prices = {"segment_micros": {"KE": SOLD_MICROS}}
    priced = await agency.agent.ask("PUT", "/v1/price-list", prices)

    message_id = await agency.customer.send("+254711000001", "Karibu dukani!")

    async def delivered() -> Any:
        message = await agency.customer.message(message_id)
        return message if message["status"] == "delivered" else None

    message = await until(delivered, "it is delivered", within_seconds=DELIVERED_SECONDS)
    balance = (await agency.agent.ask("GET", "/v1/balance")).body
    margins = (await agency.agent.ask("GET", "/v1/margins")).body["items"]

    async def sold() -> Any:
        path = f"/v1/customers/{agency.customer_id}/messages"
        items = (await agency.agent.ask("GET", path)).body["items"]
        return [one for one in items if one["message"]["charged_micros"]]

    [shown] = await until(sold, "the agent sees it", within_seconds=DELIVERED_SECONDS)
    assert priced.body["below_cost"] == []
    assert message["charged_micros"] == SOLD_MICROS
    assert balance["posted_micros"] == CREDITS_MICROS - PRICE_MICROS
    assert [(one["price_micros"], one["cost_micros"]) for one in margins] == [
        (SOLD_MICROS, PRICE_MICROS)
    ]
    assert shown["margin_micros"] == SOLD_MICROS - PRICE_MICROS


async def test_customer_is_told_nothing_of_its_agents_money(agency: Agency) -> None:
    await agency.agent.ask("PUT", "/v1/price-list", {"segment_micros": {"KE": SOLD_MICROS}})
    message_id = await agency.customer.send("+254711000001", "Karibu tena!")

    async def charged() -> Any:
        steps = await agency.customer.steps(message_id)
        return "credit.charged" in steps

    await until(charged, "it is charged", within_seconds=DELIVERED_SECONDS)
    paths = (
        "/v1/balance", "/v1/messages", f"/v1/messages/{message_id}",
        f"/v1/messages/{message_id}/events", "/v1/ledger/entries", "/v1/margins", "/v1/customers",
    )  # fmt: skip
    told = [str((await agency.customer.ask("GET", path)).body) for path in paths]

    figures = (PRICE_MICROS, CREDITS_MICROS, CREDITS_MICROS - PRICE_MICROS)
    secret = re.compile(
        rf"(?<![0-9a-f])({'|'.join(map(str, figures))})(?![0-9a-f])|{agency.agent_id[5:]}"
    )
    assert [one for one in told if secret.search(one)] == []
