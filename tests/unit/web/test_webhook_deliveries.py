from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.ids import format_id
from semalink.domain.webhook_delivery import GivenUp, Subject, WebhookDelivery
from semalink.domain.webhook_endpoint import DisabledReason, EndpointTerms, WebhookEndpoint

STRANGER = {"whe": f"whe_{'0' * 32}", "whk": f"whk_{'0' * 32}", "rcv": f"rcv_{'0' * 32}"}
DELIVERIES = "/v1/webhook-deliveries"
PATHS = [
    ("GET", DELIVERIES),
    ("GET", f"{DELIVERIES}/{STRANGER['whk']}"),
    ("POST", f"{DELIVERIES}/{STRANGER['whk']}/resend"),
    ("POST", f"/v1/webhook-endpoints/{STRANGER['whe']}/test"),
    ("GET", f"/v1/webhook-endpoints/{STRANGER['whe']}/health"),
    ("POST", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries"),
    ("GET", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries"),
    ("GET", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries/{STRANGER['rcv']}"),
    ("POST", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries/{STRANGER['rcv']}/pause"),
    ("POST", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries/{STRANGER['rcv']}/resume"),
    ("POST", f"/v1/webhook-endpoints/{STRANGER['whe']}/recoveries/{STRANGER['rcv']}/cancel"),
]


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause
    ids: tuple[UUID, ...] = ()

    def needs(self, needs: Needs) -> None:
        needs.settings |= {*self.ids}
        needs.deliveries |= {*self.ids}

    def decide(self, books: Books) -> None:
        self.by(books)


@dataclass
class Hooked:
    """An account with an endpoint and deliveries to it that failed."""

    platform: Any
    account_id: UUID
    headers: dict[str, str]
    endpoint_id: UUID

    @property
    def endpoint(self) -> str:
        return f"/v1/webhook-endpoints/{format_id('whe_', self.endpoint_id)}"

    async def change(self, by: Callable[[Books], Any], *ids: UUID) -> None:
        await self.platform.ledger.execute(Change(by, self.platform.cause, ids))

    async def fail(self) -> str:
        delivery_id = self.platform.new_id(self.platform.clock.now)
        subject = Subject(
            self.endpoint_id,
            self.account_id,
            f"evt_{delivery_id.hex}_1",
            "message.delivered",
            event_sequence=1,
        )
        delivery = WebhookDelivery.create(delivery_id, subject, self.platform.cause)
        delivery.give_up(GivenUp.EXHAUSTED, self.platform.cause)
        await self.change(lambda books: books.add(delivery))
        return format_id("whk_", delivery_id)

    async def disable(self) -> None:
        def by(books: Books) -> None:
            endpoint = books.find(WebhookEndpoint, self.endpoint_id)
            assert endpoint is not None
            endpoint.disable(DisabledReason.GONE, self.platform.cause)

        await self.change(by, self.endpoint_id)


@pytest.fixture
async def hooked(platform: Any, acme: Any, bearer: Any) -> Hooked:
    endpoint_id = platform.new_id(platform.clock.now)
    terms = EndpointTerms("https://shop.example.com/hooks", ("*",))
    endpoint = WebhookEndpoint.register(endpoint_id, acme.account_id, terms, platform.cause)
    made = Hooked(platform, acme.account_id, bearer(acme.live), endpoint_id)
    await made.change(lambda books: books.add(endpoint))
    return made


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_webhooks_need_a_key(api: Any, method: str, path: str) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path"), PATHS[1:5] + PATHS[7:])
async def test_webhooks_of_nobody_are_not_found(
    api: Any, hooked: Hooked, method: str, path: str
) -> None:
    answer = await api.request(method, path, headers=hooked.headers)

    assert answer.status_code == 404


@pytest.mark.parametrize("made_up", ["whk_1", "whe_zz", "rcv_"])
async def test_ids_that_are_none_are_not_found(api: Any, hooked: Hooked, made_up: str) -> None:
    paths = {
        "whk": f"{DELIVERIES}/{made_up}",
        "whe": f"/v1/webhook-endpoints/{made_up}/recoveries",
        "rcv": f"{hooked.endpoint}/recoveries/{made_up}",
    }

    answer = await api.get(paths[made_up[:3]], headers=hooked.headers)

    assert answer.status_code == 404


async def test_delivery_of_another_account_is_not_found(
    api: Any, hooked: Hooked, other: Any, bearer: Any
) -> None:
    delivery_id = await hooked.fail()
    path = f"{DELIVERIES}/{delivery_id}"

    read = await api.get(path, headers=bearer(other.live))
    sent = await api.post(f"{path}/resend", headers=bearer(other.live))
    listed = await api.get(DELIVERIES, headers=bearer(other.live))

    assert (read.status_code, sent.status_code) == (404, 404)
    assert listed.json()["items"] == []


async def test_deliveries_are_listed_page_by_page(api: Any, hooked: Hooked) -> None:
    ids = [await hooked.fail() for _ in range(3)]
    asked = {"limit": 2, "state": "failed", "event_type": "message.*"}

    first = await api.get(DELIVERIES, params=asked, headers=hooked.headers)
    link = first.headers["Link"].partition(">")[0][1:]
    second = await api.get(link, headers=hooked.headers)

    shown = [one["id"] for page in (first, second) for one in page.json()["items"]]
    assert shown == ids[::-1]
    assert second.json()["next_cursor"] is None


async def test_cursor_of_other_filters_is_refused(api: Any, hooked: Hooked) -> None:
    for _ in range(2):
        await hooked.fail()
    first = await api.get(DELIVERIES, params={"limit": 1}, headers=hooked.headers)

    asked = {"cursor": first.json()["next_cursor"], "state": "failed"}
    answer = await api.get(DELIVERIES, params=asked, headers=hooked.headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_list_takes_ids_of_endpoints_and_messages(api: Any, hooked: Hooked) -> None:
    await hooked.fail()
    asked = {"webhook_endpoint_id": hooked.endpoint.rpartition("/")[2]}

    found = await api.get(DELIVERIES, params=asked, headers=hooked.headers)
    none = await api.get(
        DELIVERIES, params={"message_id": f"msg_{'0' * 32}"}, headers=hooked.headers
    )

    assert len(found.json()["items"]) == 1
    assert none.json()["items"] == []


async def test_resend_begins_a_new_round(api: Any, hooked: Hooked) -> None:
    delivery_id = await hooked.fail()
    path = f"{DELIVERIES}/{delivery_id}/resend"

    sent = await api.post(path, headers=hooked.headers)
    again = await api.post(path, headers=hooked.headers)

    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    assert (sent.json()["trigger"], sent.json()["given_up"]) == ("manual", None)
    assert (again.status_code, again.json()["code"]) == (409, "webhook_delivery_under_way")


async def test_test_event_is_on_its_way(api: Any, hooked: Hooked) -> None:
    sent = await api.post(f"{hooked.endpoint}/test", headers=hooked.headers)

    shown = await api.get(sent.headers["Location"], headers=hooked.headers)
    assert sent.status_code == 202
    assert (shown.json()["event_type"], shown.json()["trigger"]) == ("webhook.test", "test")
    assert shown.json()["event_sequence"] is None


async def test_nothing_is_sent_to_an_endpoint_that_is_disabled(api: Any, hooked: Hooked) -> None:
    await hooked.disable()

    answer = await api.post(f"{hooked.endpoint}/test", headers=hooked.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_endpoint_disabled")


async def test_health_of_an_endpoint_is_told(
    api: Any, admin: Any, hooked: Hooked, admin_key: str, bearer: Any
) -> None:
    await hooked.fail()

    shown = await api.get(f"{hooked.endpoint}/health", headers=hooked.headers)
    seen = await admin.get(f"/admin{hooked.endpoint}/health", headers=bearer(admin_key))
    endpoint = await api.get(hooked.endpoint, headers=hooked.headers)

    assert (shown.json()["breaker"], shown.json()["waiting_count"]) == ("closed", 0)
    assert seen.json() == endpoint.json()["health"] == shown.json()


async def test_recovery_runs_and_is_followed(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()

    started = await api.post(
        f"{hooked.endpoint}/recoveries", json={"since": since}, headers=hooked.headers
    )

    shown = await api.get(started.headers["Location"], headers=hooked.headers)
    listed = await api.get(f"{hooked.endpoint}/recoveries", headers=hooked.headers)
    assert started.status_code == 201
    assert (shown.json()["state"], shown.json()["mode"]) == ("running", "failed")
    assert shown.json()["event_types"] == ["*"]
    assert [one["id"] for one in listed.json()["items"]] == [started.json()["id"]]


async def test_recovery_is_started_once_under_one_key(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()
    headers = {**hooked.headers, "Idempotency-Key": "recover-1"}

    first, second = [
        await api.post(f"{hooked.endpoint}/recoveries", json={"since": since}, headers=headers)
        for _ in range(2)
    ]

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("hours", "until_hours", "code"),
    [(-1, None, "/since"), (2, 3, "/since"), (24 * 31, None, "/since")],
)
async def test_recovery_needs_a_time_that_is_kept(
    api: Any, hooked: Hooked, hours: int, until_hours: int | None, code: str
) -> None:
    now = hooked.platform.clock.now
    asked = {"since": (now - timedelta(hours=hours)).isoformat()}
    if until_hours is not None:
        asked["until"] = (now - timedelta(hours=until_hours)).isoformat()

    answer = await api.post(f"{hooked.endpoint}/recoveries", json=asked, headers=hooked.headers)

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [code]


async def test_recoveries_under_way_are_five_at_most(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()
    path = f"{hooked.endpoint}/recoveries"

    answers = [
        await api.post(path, json={"since": since}, headers=hooked.headers) for _ in range(6)
    ]
    await api.post(f"{path}/{answers[0].json()['id']}/cancel", headers=hooked.headers)
    freed = await api.post(path, json={"since": since}, headers=hooked.headers)

    assert [answer.status_code for answer in answers] == [201] * 5 + [409]
    assert answers[-1].json()["code"] == "too_many_recoveries"
    assert freed.status_code == 201


async def test_recovery_refuses_event_types_that_are_none(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()
    asked = {"since": since, "event_types": ["message.*", "message.exploded"]}

    answer = await api.post(f"{hooked.endpoint}/recoveries", json=asked, headers=hooked.headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_event_type")
    assert answer.json()["errors"][0]["pointer"] == "/event_types/1"


async def test_recovery_is_paused_resumed_and_cancelled(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()
    path = f"{hooked.endpoint}/recoveries"
    started = await api.post(path, json={"since": since}, headers=hooked.headers)
    one = f"{path}/{started.json()['id']}"

    states = [
        (await api.post(f"{one}/{step}", headers=hooked.headers)).json()["state"]
        for step in ("pause", "resume", "cancel")
    ]
    ended = await api.post(f"{one}/resume", headers=hooked.headers)

    assert states == ["paused", "running", "cancelled"]
    assert (ended.status_code, ended.json()["code"]) == (409, "recovery_ended")


async def test_recoveries_are_listed_page_by_page(api: Any, hooked: Hooked) -> None:
    since = (hooked.platform.clock.now - timedelta(hours=1)).isoformat()
    path = f"{hooked.endpoint}/recoveries"
    for _ in range(2):
        await api.post(path, json={"since": since}, headers=hooked.headers)

    first = await api.get(path, params={"limit": 1}, headers=hooked.headers)
    link = first.headers["Link"].partition(">")[0][1:]
    second = await api.get(link, headers=hooked.headers)

    ids = [page.json()["items"][0]["id"] for page in (first, second)]
    assert ids == sorted(ids, reverse=True)
    assert second.json()["next_cursor"] is None


async def test_operators_see_the_endpoints_of_any_account(
    admin: Any, hooked: Hooked, admin_key: str, bearer: Any
) -> None:
    path = "/admin/v1/webhook-endpoints"
    headers = bearer(admin_key)
    terms = EndpointTerms("https://shop.example.com/more", ("*",))
    more_id = hooked.platform.new_id(hooked.platform.clock.now)
    more = WebhookEndpoint.register(more_id, hooked.account_id, terms, hooked.platform.cause)
    await hooked.change(lambda books: books.add(more))

    first = await admin.get(path, params={"limit": 1}, headers=headers)
    second = await admin.get(first.headers["Link"].partition(">")[0][1:], headers=headers)
    mine = {"account_id": format_id("acct_", hooked.account_id)}
    listed = await admin.get(path, params=mine, headers=headers)
    one = await admin.get(f"/admin{hooked.endpoint}", headers=headers)

    shown = [page.json()["items"][0]["id"] for page in (first, second)]
    assert shown == [one["id"] for one in listed.json()["items"]]
    assert one.json()["id"] == shown[1]


async def test_operators_see_and_resend_the_deliveries_of_any_account(
    admin: Any, hooked: Hooked, admin_key: str, bearer: Any
) -> None:
    delivery_id = await hooked.fail()
    path = f"/admin/v1/webhook-deliveries/{delivery_id}"
    headers = bearer(admin_key)

    listed = await admin.get("/admin/v1/webhook-deliveries", headers=headers)
    read = await admin.get(path, headers=headers)
    sent = await admin.post(f"{path}/resend", headers=headers)
    recoveries = await admin.get(f"/admin{hooked.endpoint}/recoveries", headers=headers)

    assert [one["id"] for one in listed.json()["items"]] == [delivery_id]
    assert read.json()["state"] == "failed"
    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    assert recoveries.json()["items"] == []
