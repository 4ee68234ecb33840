import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from tests.chaos.customers import Client
from tests.chaos.waiting import until
from tests.e2e.receiver import Receiver, receiving

CREDITS_MICROS = 100_000_000
HANDSET = "+254711000001"
SCOPES = ["messages:read", "messages:send", "webhooks:read", "webhooks:write"]
SECONDS = 30.0


@dataclass
class Shop:
    """A customer with credits and an endpoint that listens."""

    client: Client
    receiver: Receiver
    endpoint: str = ""

    async def register(self, *event_types: str, url: str | None = None) -> str:
        asked = {"url": url or self.receiver.url, "event_types": [*event_types]}
        reply = await self.client.ask("POST", "/v1/webhook-endpoints", asked)
        assert reply.status == 201, reply
        endpoint = f"/v1/webhook-endpoints/{reply.body['id']}"
        if url is None:
            self.receiver.secret, self.endpoint = reply.body["secret"], endpoint
        return endpoint

    async def get(self, path: str) -> Any:
        reply = await self.client.ask("GET", path)
        assert reply.status == 200, reply
        return reply.body

    async def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        reply = await self.client.ask("POST", path, body)
        assert reply.status == status, reply
        return reply.body

    async def send(self, count: int) -> list[str]:
        return [await self.client.send(HANDSET, f"Order {number}") for number in range(count)]

    async def received(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.receiver.bodies) >= count

        await until(enough, f"{count} events arrive", within_seconds=SECONDS)

    async def deliveries(self, count: int, **wanted: Any) -> list[Any]:
        endpoint_id = wanted.pop("endpoint", self.endpoint).rpartition("/")[2]
        asked = "".join(f"&{name}={value}" for name, value in wanted.items())

        async def enough() -> Any:
            path = f"/v1/webhook-deliveries?webhook_endpoint_id={endpoint_id}&limit=100{asked}"
            items = (await self.get(path))["items"]
            return items if len(items) >= count else None

        return await until(enough, f"{count} deliveries {wanted}", within_seconds=SECONDS)

    async def detail(self, delivery: Any) -> Any:
        return await self.get(f"/v1/webhook-deliveries/{delivery['id']}")

    async def attempted(self, delivery: Any) -> Any:
        async def tried() -> Any:
            detail = await self.detail(delivery)
            return detail if detail["attempts"] else None

        return await until(tried, "an attempt is recorded", within_seconds=SECONDS)


@pytest.fixture
async def shop(running: Any) -> AsyncIterator[Shop]:
    started = running.quickstart()
    async with aiohttp.ClientSession(trust_env=False) as session, receiving() as receiver:
        operator = Client(session, started["admin_url"], started["admin_key"])
        accounts = "/admin/v1/accounts"
        opened = (await operator.ask("POST", accounts, {"name": "Shop"})).body["id"]
        payment = {"amount_micros": CREDITS_MICROS, "payment_reference": f"e2e {opened}"}
        assert (await operator.ask("POST", f"{accounts}/{opened}/top-ups", payment)).status == 201
        wanted = {"name": "e2e", "mode": "live", "scopes": SCOPES}
        key = (await operator.ask("POST", f"{accounts}/{opened}/api-keys", wanted)).body["key"]
        yield Shop(Client(session, started["api_url"], key), receiver)


async def test_events_arrive_signed_and_are_those_of_the_feed(shop: Shop) -> None:
    await shop.register("message.*")

    message_ids = await shop.send(3)
    await shop.received(9)

    feed = (await shop.get("/v1/events?limit=1000"))["items"]
    told = {event["id"]: event for event in feed if event["type"].startswith("message.")}
    assert [event["sequence"] for event in feed] == list(range(1, len(feed) + 1))
    assert {event["id"]: event for event in shop.receiver.taken} == told
    assert {event["data"]["id"] for event in shop.receiver.taken} == {*message_ids}
    assert sorted(shop.receiver.names()) == sorted(
        3 * ["message.accepted", "message.submitted", "message.delivered"]
    )


async def test_what_an_endpoint_missed_is_shown_and_recovered(shop: Shop) -> None:
    began_at = datetime.now(UTC) - timedelta(minutes=1)
    await shop.register("message.delivered")
    shop.receiver.status, shop.receiver.said = 503, "down for maintenance"
    shop.receiver.headers = {"webhook-delivery": "abort-message"}

    await shop.send(3)
    failed = await shop.deliveries(3, state="failed")
    detail = await shop.detail(failed[0])
    shop.receiver.status, shop.receiver.headers = 204, {}
    asked = {"since": began_at.isoformat(), "event_types": ["message.*"]}
    recovery = await shop.post(f"{shop.endpoint}/recoveries", asked, status=201)

    async def completed() -> Any:
        shown = await shop.get(f"{shop.endpoint}/recoveries/{recovery['id']}")
        return shown if shown["state"] == "completed" else None

    shown = await until(completed, "everything is recovered", within_seconds=SECONDS)
    again = await shop.detail(failed[0])
    [attempt] = detail["attempts"]
    assert detail["given_up"] == "aborted"
    assert (attempt["status"], attempt["error_class"]) == (503, "status")
    assert attempt["response_body"] == "down for maintenance"
    assert 0 <= attempt["duration_ms"] < 15_000
    assert (shown["matched_count"], shown["delivered_count"]) == (3, 3)
    assert [one["trigger"] for one in again["attempts"]] == ["auto", "recovery"]
    assert shop.receiver.bodies[again["event_id"]].decode() == again["payload"]
    assert len(shop.receiver.taken) == len(shop.receiver.bodies) == 3


async def test_endpoint_that_is_back_recovers_at_once_although_it_was_left_alone(
    shop: Shop,
) -> None:
    await shop.register("message.*")
    shop.receiver.status = 503
    began_at = datetime.now(UTC) - timedelta(minutes=1)

    await shop.send(3)

    async def left_alone() -> Any:
        health = await shop.get(f"{shop.endpoint}/health")
        return health if health["breaker"] == "open" and health["waiting_count"] == 9 else None

    health = await until(left_alone, "the breaker opens", within_seconds=SECONDS)
    shop.receiver.status = 204
    asked = {"since": began_at.isoformat()}
    recovery = await shop.post(f"{shop.endpoint}/recoveries", asked, status=201)
    await shop.received(9)

    async def completed() -> Any:
        shown = await shop.get(f"{shop.endpoint}/recoveries/{recovery['id']}")
        return shown if shown["state"] == "completed" else None

    shown = await until(completed, "everything is recovered", within_seconds=SECONDS)
    after = await shop.get(f"{shop.endpoint}/health")
    assert health["consecutive_failures"] >= 5
    assert shown["matched_count"] == shown["delivered_count"] + shown["skipped_count"]
    assert (after["breaker"], after["consecutive_failures"], after["waiting_count"]) == (
        "closed", 0, 0,
    )  # fmt: skip


async def test_attempts_at_an_endpoint_that_is_away_say_when_the_next_is_due(shop: Shop) -> None:
    async with receiving() as gone:
        nowhere = gone.url
    endpoint = await shop.register("message.delivered", url=nowhere)

    await shop.send(1)
    [delivery] = await shop.deliveries(1, endpoint=endpoint)
    detail = await shop.attempted(delivery)
    health = await shop.get(f"{endpoint}/health")
    await shop.post(f"/v1/webhook-deliveries/{delivery['id']}/resend", status=202)

    async def twice() -> Any:
        attempts = (await shop.detail(delivery))["attempts"]
        return attempts if len(attempts) == 2 else None

    again = await until(twice, "it is tried again", within_seconds=SECONDS)

    [attempt] = detail["attempts"]
    due_in = datetime.fromisoformat(detail["next_attempt_at"]) - datetime.fromisoformat(
        attempt["at"]
    )
    assert (attempt["status"], attempt["error_class"]) == (None, "connect")
    assert timedelta(seconds=46) < due_in <= timedelta(seconds=55)
    assert (detail["state"], detail["attempts_made"]) == ("waiting", 1)
    assert (health["consecutive_failures"], health["waiting_count"]) == (1, 1)
    assert [one["trigger"] for one in again] == ["auto", "manual"]


async def test_what_comes_while_an_endpoint_is_paused_is_held_and_then_sent(shop: Shop) -> None:
    await shop.register("message.delivered")
    await shop.post(f"{shop.endpoint}/pause")

    await shop.send(2)
    held = await shop.deliveries(2, state="waiting")
    health = await shop.get(f"{shop.endpoint}/health")
    before = shop.receiver.request_count
    await shop.post(f"{shop.endpoint}/resume")
    await shop.received(2)

    assert all(one["is_held"] for one in held)
    assert (health["state"], health["held_count"], before) == ("paused", 2, 0)


async def test_endpoint_that_is_gone_is_disabled_and_recovers_what_it_missed(shop: Shop) -> None:
    await shop.register("message.delivered")
    shop.receiver.status = 410
    began_at = datetime.now(UTC) - timedelta(minutes=1)

    await shop.send(1)
    [failed] = await shop.deliveries(1, state="failed")
    endpoint = await shop.get(shop.endpoint)
    refused = await shop.client.ask("POST", f"{shop.endpoint}/test")
    [unsent] = await shop.send(1)

    async def fed() -> Any:
        events = (await shop.get("/v1/events?limit=1000"))["items"]
        told = [(event["type"], event["data"].get("id")) for event in events]
        return told if ("message.delivered", unsent) in told else None

    told = await until(fed, "the feed goes on", within_seconds=SECONDS)
    shop.receiver.status = 204
    await shop.post(f"{shop.endpoint}/resume")
    for mode in ("failed", "missing"):
        asked = {"since": began_at.isoformat(), "event_types": ["message.delivered"], "mode": mode}
        await shop.post(f"{shop.endpoint}/recoveries", asked, status=201)
    await shop.received(2)

    assert (await shop.detail(failed))["state"] == "delivered"
    assert (endpoint["state"], endpoint["disabled_reason"]) == ("disabled", "gone")
    assert (refused.status, refused.body["code"]) == (409, "webhook_endpoint_disabled")
    assert ("webhook_endpoint.disabled", None) in told
    assert shop.receiver.names() == ["message.delivered"] * 2


async def test_test_event_arrives_at_once_and_can_be_sent_again(shop: Shop) -> None:
    await shop.register("message.*")

    sent = await shop.post(f"{shop.endpoint}/test", status=202)
    await shop.received(1)

    async def delivered() -> bool:
        return bool((await shop.detail(sent))["state"] == "delivered")

    await until(delivered, "it is delivered", within_seconds=SECONDS)
    await shop.post(f"/v1/webhook-deliveries/{sent['id']}/resend", status=202)

    async def twice() -> bool:
        return shop.receiver.request_count == 2

    await until(twice, "it comes again", within_seconds=SECONDS)
    assert shop.receiver.names() == ["webhook.test"] * 2
    assert {event["id"] for event in shop.receiver.taken} == {sent["event_id"]}


async def test_recovery_goes_on_where_a_relay_that_was_killed_left_it(
    shop: Shop, running: Any
) -> None:
    await shop.register("message.delivered")
    shop.receiver.status = 503
    shop.receiver.headers = {"webhook-delivery": "abort-message"}
    began_at = datetime.now(UTC) - timedelta(minutes=1)
    await shop.send(4)
    await shop.deliveries(4, state="failed")
    shop.receiver.status, shop.receiver.headers = 204, {}

    asked = {"since": began_at.isoformat(), "rate_per_second": 1}
    recovery = await shop.post(f"{shop.endpoint}/recoveries", asked, status=201)
    await shop.received(1)
    os.kill(running.quickstart()["pids"]["relay"], signal.SIGKILL)

    async def completed() -> Any:
        shown = await shop.get(f"{shop.endpoint}/recoveries/{recovery['id']}")
        return shown if shown["state"] == "completed" else None

    shown = await until(completed, "everything is recovered", within_seconds=SECONDS)
    deliveries = [await shop.detail(one) for one in await shop.deliveries(4)]
    assert (shown["matched_count"], shown["sent_count"], shown["delivered_count"]) == (4, 4, 4)
    assert all(len(one["attempts"]) == 2 for one in deliveries)
    assert len(shop.receiver.bodies) == 4
