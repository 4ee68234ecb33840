"""Customers of the platform under test: accounts with keys and credits, made over HTTP."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.chaos.platform import Platform

#: What one segment to a Kenyan number costs.
PRICE_MICROS = 800_000
#: Longer than any answer may take; a process that was killed answers nothing at all.
ANSWER_SECONDS = 30.0


#: What the balance of an account that pays for itself is made of.
BALANCE = ("posted_micros", "reserved_micros", "credit_limit_micros", "available_micros")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """Talks to one address with one key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = key

    async def ask(
        self, method: str, path: str, body: Any = None, *, idempotency_key: str | None = None
    ) -> Reply:
        """Send one request and return whatever is answered; raises what aiohttp does."""
        headers = {"Authorization": f"Bearer {self._key}"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        async with self._session.request(
            method, self._url + path, json=body, headers=headers
        ) as response:
            is_json = "json" in response.content_type
            content = await (response.json() if is_json else response.text())
            return Reply(response.status, response.headers, content)

    async def send(self, to: str, text: str, **wishes: Any) -> str:
        """Send one message and return its id."""
        body = {"to": to, "text": text, "sender": "SEMALINK", **wishes}
        reply = await self.ask("POST", "/v1/messages", body)
        assert reply.status == 202, reply
        return str(reply.body["id"])

    async def balance(self) -> dict[str, int]:
        """Return the figures of the account's balance."""
        reply = await self.ask("GET", "/v1/balance")
        assert reply.status == 200, reply
        return {name: reply.body[name] for name in BALANCE}

    async def message(self, message_id: str) -> Any:
        """Return one message as its customer sees it."""
        reply = await self.ask("GET", f"/v1/messages/{message_id}")
        assert reply.status == 200, reply
        return reply.body

    async def steps(self, message_id: str) -> list[str]:
        """Return the names of the steps of a message and its credits."""
        reply = await self.ask("GET", f"/v1/messages/{message_id}/events")
        assert reply.status == 200, reply
        return [event["name"] for event in reply.body["items"]]


@dataclass(frozen=True, slots=True)
class Customer:
    """An account with a key of each mode."""

    account_id: str
    live_key_id: str
    live: Client
    test: Client


class Reception:
    """Opens accounts and credits them, as an operator does."""

    def __init__(self, platform: Platform, session: aiohttp.ClientSession) -> None:
        self.platform = platform
        self._session = session
        self._admin = Client(session, platform.url("admin"), str(platform.quickstart["admin_key"]))

    async def open(
        self, *, credit_micros: int = 0, first_aggregator: str | None = None
    ) -> Customer:
        """Open an account with this credit and this preferred route."""
        account = await self._made("/accounts", {"name": "Chaos", "tier": "enterprise"})
        account_id = account["id"]
        if credit_micros:
            await self.top_up(account_id, credit_micros)
        if first_aggregator is not None:
            route = {"aggregator": first_aggregator}
            reply = await self._admin.ask("PUT", f"/admin/v1/accounts/{account_id}/route", route)
            assert reply.status == 200, reply
        live, test = [await self._issue(account_id, mode) for mode in ("live", "test")]
        api = self.platform.url("api")
        return Customer(
            account_id,
            live["id"],
            Client(self._session, api, live["key"]),
            Client(self._session, api, test["key"]),
        )

    async def top_up(self, account_id: str, amount_micros: int) -> None:
        """Credit a payment."""
        payment = {
            "amount_micros": amount_micros,
            "payment_reference": f"chaos-{secrets.token_hex(8)}",
        }
        await self._made(f"/accounts/{account_id}/top-ups", payment)

    async def revoke(self, customer: Customer) -> None:
        """Revoke the live key of a customer."""
        path = f"/admin/v1/accounts/{customer.account_id}/api-keys/{customer.live_key_id}"
        reply = await self._admin.ask("DELETE", path)
        assert reply.status == 204, reply

    async def ask_admin(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Return what operators are answered."""
        reply = await self._admin.ask(method, path, body)
        assert reply.status == 200, reply
        return reply.body

    @asynccontextmanager
    async def sandbox_set(self, aggregator: str, **switches: object) -> AsyncIterator[None]:
        """Have an aggregator of the sandbox behave like this meanwhile."""
        url = f"{self.platform.url('sandbox')}/control/{aggregator}"
        async with self._session.put(url, json=switches) as response:
            assert response.status == 200, await response.text()
        try:
            yield
        finally:
            async with self._session.put(url, json={}) as response:
                assert response.status == 200, await response.text()

    async def stop_sender(self, number: str, sender: str) -> None:
        """Let a subscriber stop a sender id at Africa's Talking, as the sandbox plays it."""
        url = f"{self.platform.url('sandbox')}/control/opt-outs"
        async with self._session.post(url, json={"number": number, "sender": sender}) as response:
            assert await response.json() == {"intake_status": 200}

    async def _issue(self, account_id: str, mode: str) -> Any:
        scopes = ["messages:send", "messages:read", "balance:read", "webhooks:write"]
        scopes += ["campaigns:read", "campaigns:write", "ledger:read"]
        wanted = {"name": "chaos", "mode": mode, "scopes": scopes}
        return await self._made(f"/accounts/{account_id}/api-keys", wanted)

    async def _made(self, path: str, body: Any) -> Any:
        reply = await self._admin.ask("POST", f"/admin/v1{path}", body)
        assert reply.status == 201, reply
        return reply.body


@asynccontextmanager
async def open_reception(platform: Platform) -> AsyncIterator[Reception]:
    """Yield a place where accounts are opened; connections of its customers end with it."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, trust_env=False
    ) as session:
        yield Reception(platform, session)
