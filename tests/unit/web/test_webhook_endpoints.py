import re
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from semalink.domain.ids import parse_id
from semalink.domain.webhook_endpoint import DisabledReason, WebhookEndpoint
from semalink.web.webhook_ids import endpoint_uuid

NEW = {"url": "https://shop.example.com/hooks", "event_types": ["message.*"]}
PATH = "/v1/webhook-endpoints"


async def register(api: Any, headers: dict[str, str], **changes: Any) -> Any:
    return await api.post(PATH, json={**NEW, **changes}, headers=headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH),
        ("GET", PATH),
        ("GET", f"{PATH}/whe_1"),
        ("PATCH", f"{PATH}/whe_1"),
        ("DELETE", f"{PATH}/whe_1"),
        ("POST", f"{PATH}/whe_1/pause"),
        ("POST", f"{PATH}/whe_1/resume"),
        ("POST", f"{PATH}/whe_1/rotate-secret"),
        ("GET", f"{PATH}/whe_1/verification-keys"),
        ("GET", "/v1/events"),
        ("GET", "/v1/event-types"),
    ],
)
async def test_endpoints_ask_for_a_key(api: Any, method: str, path: str) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "asked",
    [
        ("GET", "", None),
        ("PATCH", "", {"description": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/rotate-secret", {}),
        ("GET", "/verification-keys", None),
    ],
)
async def test_endpoints_of_another_account_are_not_found(
    api: Any, acme: Any, other: Any, bearer: Any, asked: tuple[str, str, Any]
) -> None:
    made = (await register(api, bearer(acme.live))).json()
    method, path, body = asked

    answer = await api.request(
        method, f"{PATH}/{made['id']}{path}", json=body, headers=bearer(other.live)
    )

    assert answer.status_code == 404
    assert answer.json()["code"] == "webhook_endpoint_not_found"


async def test_register_shows_the_secret_once(api: Any, acme: Any, bearer: Any) -> None:
    answer = await register(api, bearer(acme.live))
    made = answer.json()
    read = await api.get(answer.headers["location"], headers=bearer(acme.live))

    assert answer.status_code == 201
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert made["verification_key"] is None
    assert (made["state"], made["rate_per_second"], made["concurrency"]) == ("enabled", 50, 4)
    shown = {
        name: value for name, value in made.items() if name not in {"secret", "verification_key"}
    }
    assert read.json() == {**shown, "health": read.json()["health"]}
    assert made["secret"] not in read.text


async def test_register_repeated_with_its_key_makes_no_second_endpoint_and_shows_no_secret(
    api: Any, acme: Any, bearer: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="k-1")
    first = await register(api, headers)

    again = await register(api, headers)
    listed = await api.get(PATH, headers=bearer(acme.live))

    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.json()["id"], again.json()["secret"]) == (first.json()["id"], None)
    assert len(listed.json()["items"]) == 1


async def test_register_stores_the_secret_nowhere_in_the_log(
    platform: Any, api: Any, acme: Any, bearer: Any
) -> None:
    made = (await register(api, bearer(acme.live, Idempotency_Key="k-1"))).json()

    stored = repr(platform.ledger.log) + repr(platform.ledger.stored)
    assert made["secret"] not in stored
    [sealed] = platform.ledger.sealed_secrets.values()
    assert len(sealed) == 12 + 32 + 16


async def test_register_makes_a_key_pair_when_asked(api: Any, acme: Any, bearer: Any) -> None:
    made = (await register(api, bearer(acme.live), signatures=["v1", "v1a"])).json()

    keys = await api.get(f"{PATH}/{made['id']}/verification-keys", headers=bearer(acme.live))

    [key] = keys.json()["items"]
    assert key["verification_key"] == made["verification_key"]
    assert (key["jwk"]["crv"], key["jwk"]["kid"]) == ("Ed25519", key["id"])
    assert {one["kind"] for one in made["secrets"]} == {"v1", "v1a"}
    assert made["secret"] is not None


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"url": "http://shop.example.com"}, "invalid_webhook_url", "/url"),
        ({"url": "https://127.0.0.1"}, "invalid_webhook_url", "/url"),
        ({"event_types": ["message.*", "nothing"]}, "unknown_event_type", "/event_types/1"),
        ({"event_types": []}, "validation_failed", "/event_types"),
        ({"rate_per_second": 0}, "validation_failed", "/rate_per_second"),
        ({"state": "paused"}, "validation_failed", "/state"),
    ],
)
async def test_register_says_which_field_is_wrong(
    api: Any, acme: Any, bearer: Any, changes: Any, code: str, pointer: str
) -> None:
    answer = await register(api, bearer(acme.live), **changes)

    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_register_is_refused_beyond_twenty(api: Any, acme: Any, bearer: Any) -> None:
    headers = bearer(acme.live)
    for _ in range(20):
        assert (await register(api, headers)).status_code == 201

    answer = await register(api, headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhook_endpoints")


async def test_register_says_so_without_a_key_to_seal_with(
    platform: Any, api: Any, acme: Any, bearer: Any
) -> None:
    platform.secrets = None

    async with AsyncTestClient(platform.api()) as bare:
        answer = await register(bare, bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (501, "webhooks_not_set_up")


async def test_list_goes_page_by_page(api: Any, acme: Any, other: Any, bearer: Any) -> None:
    headers = bearer(acme.live)
    made = [(await register(api, headers)).json()["id"] for _ in range(3)]
    await register(api, bearer(other.live))

    first = (await api.get(f"{PATH}?limit=2", headers=headers)).json()
    rest = (await api.get(f"{PATH}?limit=2&cursor={first['next_cursor']}", headers=headers)).json()

    listed = [one["id"] for one in (*first["items"], *rest["items"])]
    assert listed == made[::-1]
    assert rest["next_cursor"] is None


async def test_change_leaves_what_is_not_named(api: Any, acme: Any, bearer: Any) -> None:
    made = (await register(api, bearer(acme.live))).json()

    answer = await api.patch(
        f"{PATH}/{made['id']}",
        json={"event_types": ["*"], "url": "https://b.example/"},
        headers=bearer(acme.live),
    )

    changed = answer.json()
    assert (changed["event_types"], changed["url"]) == (["*"], "https://b.example/")
    assert changed["rate_per_second"] == made["rate_per_second"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "https://10.0.0.1/"}, "invalid_webhook_url"),
        ({"event_types": ["x.y"]}, "unknown_event_type"),
    ],
)
async def test_change_is_checked_as_registering_is(
    api: Any, acme: Any, bearer: Any, change: Any, code: str
) -> None:
    made = (await register(api, bearer(acme.live))).json()

    answer = await api.patch(f"{PATH}/{made['id']}", json=change, headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_pause_holds_and_resume_sends(api: Any, acme: Any, bearer: Any) -> None:
    made = (await register(api, bearer(acme.live))).json()
    one = f"{PATH}/{made['id']}"

    paused = await api.post(f"{one}/pause", headers=bearer(acme.live))
    resumed = await api.post(f"{one}/resume", headers=bearer(acme.live))

    assert (paused.json()["state"], resumed.json()["state"]) == ("paused", "enabled")


async def test_resume_enables_what_was_disabled(
    platform: Any, api: Any, acme: Any, bearer: Any
) -> None:
    made = (await register(api, bearer(acme.live))).json()
    endpoint_id = endpoint_uuid(made["id"])
    endpoint = platform.ledger.load(WebhookEndpoint, endpoint_id)
    endpoint.disable(DisabledReason.GONE, platform.cause)
    platform.ledger.streams[WebhookEndpoint][endpoint_id] += endpoint.collect_events()
    one = f"{PATH}/{made['id']}"

    before = await api.get(one, headers=bearer(acme.live))
    after = await api.post(f"{one}/resume", headers=bearer(acme.live))

    assert (before.json()["state"], before.json()["disabled_reason"]) == ("disabled", "gone")
    assert (after.json()["state"], after.json()["disabled_reason"]) == ("enabled", None)


async def test_remove_is_for_good(api: Any, acme: Any, bearer: Any) -> None:
    made = (await register(api, bearer(acme.live))).json()
    one = f"{PATH}/{made['id']}"

    removed = await api.delete(one, headers=bearer(acme.live))
    again = await api.delete(one, headers=bearer(acme.live))

    assert (removed.status_code, again.status_code) == (204, 404)
    assert (await api.get(PATH, headers=bearer(acme.live))).json()["items"] == []


async def test_rotate_shows_a_new_secret_and_keeps_the_old_one_for_a_while(
    platform: Any, api: Any, acme: Any, bearer: Any
) -> None:
    made = (await register(api, bearer(acme.live))).json()
    one = f"{PATH}/{made['id']}"

    answer = await api.post(
        f"{one}/rotate-secret", json={"keep_old_seconds": 3_600}, headers=bearer(acme.live)
    )
    platform.clock.pass_by(hours=2)
    later = (await api.get(one, headers=bearer(acme.live))).json()

    rotated = answer.json()
    assert answer.status_code == 201
    assert rotated["secret"] not in (None, made["secret"])
    newest, old = rotated["secrets"]
    assert (newest["expires_at"], old["expires_at"]) == (None, "2026-11-02T09:15:04Z")
    assert [one["id"] for one in later["secrets"]] == [newest["id"]]


async def test_rotate_repeated_with_its_key_makes_one_secret_and_shows_it_once(
    api: Any, acme: Any, bearer: Any
) -> None:
    made = (await register(api, bearer(acme.live))).json()
    headers = bearer(acme.live, Idempotency_Key="k-1")

    first, again = [
        await api.post(f"{PATH}/{made['id']}/rotate-secret", json={}, headers=headers)
        for _ in range(2)
    ]

    assert first.json()["secret"] is not None
    assert again.json()["secret"] is None
    assert len(again.json()["secrets"]) == 2
    assert parse_id("whs_", again.json()["secrets"][0]["id"]) is not None


async def test_rotate_is_refused_beyond_seven_days(api: Any, acme: Any, bearer: Any) -> None:
    made = (await register(api, bearer(acme.live))).json()

    answer = await api.post(
        f"{PATH}/{made['id']}/rotate-secret",
        json={"keep_old_seconds": 7 * 86_400 + 1},
        headers=bearer(acme.live),
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
