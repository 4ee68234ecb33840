from typing import Any

import pytest

from semalink.domain.account import Account
from semalink.domain.ids import ACCOUNT_PREFIX, API_KEY_PREFIX, format_id

SEND = "/v1/messages"


@pytest.fixture
def path(acme: Any) -> str:
    return f"/admin/v1/accounts/{format_id(ACCOUNT_PREFIX, acme.account_id)}/rate-limit"


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


@pytest.fixture
def key_path(acme: Any, path: str) -> str:
    key_id = format_id(API_KEY_PREFIX, acme.live_key_id)
    return path.replace("/rate-limit", f"/api-keys/{key_id}/rate-limit")


async def test_limit_is_refused_without_key_and_of_no_account(
    admin: Any, path: str, operator: Any
) -> None:
    unknown = "/admin/v1/accounts/acct_0198c0de5ca17000800000000000000a/rate-limit"

    answers = [
        await admin.get(path),
        await admin.put(path, json={"reason": "Why not"}),
        await admin.get(unknown, headers=operator),
        await admin.put(unknown, json={"reason": "Why not"}, headers=operator),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 404, 404]


async def test_limit_begins_as_the_tier_says(admin: Any, path: str, operator: Any) -> None:
    answer = await admin.get(path, headers=operator)

    shown = answer.json()
    assert (shown["tier"], shown["rate_per_second"], shown["burst"]) == ("starter", 10, 50)
    assert (shown["is_limit_agreed"], shown["keys"]) == (False, [])


async def test_set_limit_holds_from_the_next_look_at_the_key_on(
    admin: Any, api: Any, acme: Any, path: str, operator: Any, bearer: Any
) -> None:
    agreed = {"tier": "enterprise", "rate_per_second": 250, "burst": 1_500, "reason": "Contract"}

    answer = await admin.put(path, json=agreed, headers=operator)
    sent = await api.post(SEND, json={}, headers=bearer(acme.live))

    assert answer.json()["is_limit_agreed"]
    assert sent.headers["RateLimit-Policy"] == '"account";q=1500;w=6;qu="messages"'
    assert sent.headers["RateLimit"] == '"account";r=1499;t=1'


async def test_set_limit_is_an_event_with_its_reason_and_actor(
    admin: Any, platform: Any, acme: Any, path: str, operator: Any
) -> None:
    asked = {"tier": "growth", "reason": "Contract"}

    await admin.put(path, json=asked, headers=operator)

    event = platform.ledger.streams[Account][acme.account_id][-1]
    assert isinstance(event, Account.RateLimitSet)
    assert (event.reason, event.actor.partition(":")[0]) == ("Contract", "operator")


async def test_set_limit_goes_back_to_the_tiers(admin: Any, path: str, operator: Any) -> None:
    agreed = {"rate_per_second": 20, "burst": 20, "reason": "Contract"}
    await admin.put(path, json=agreed, headers=operator)

    asked = {"tier": "growth", "reason": "It ended"}
    answer = await admin.put(path, json=asked, headers=operator)

    shown = answer.json()
    assert (shown["tier"], shown["rate_per_second"], shown["burst"]) == ("growth", 100, 500)


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"rate_per_second": 10}, "/burst"),
        ({"burst": 10}, "/rate_per_second"),
        ({"rate_per_second": 10, "burst": 9}, "/burst"),
        ({"rate_per_second": 0, "burst": 9}, "/rate_per_second"),
        ({"tier": "platinum"}, "/tier"),
    ],
)
async def test_set_limit_refuses_what_is_no_limit(
    admin: Any, path: str, operator: Any, asked: Any, pointer: str
) -> None:
    answer = await admin.put(path, json={**asked, "reason": "Why"}, headers=operator)

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_set_limit_of_a_key_bounds_it_alone(
    admin: Any, api: Any, acme: Any, key_path: str, operator: Any, bearer: Any
) -> None:
    asked = {"rate_per_second": 1, "burst": 1, "reason": "It loops"}

    answer = await admin.put(key_path, json=asked, headers=operator)
    sent = [await api.post(SEND, json={}, headers=bearer(acme.live)) for _ in range(2)]
    of_other = await api.post(SEND, json={}, headers=bearer(acme.test))

    assert [one["rate_per_second"] for one in answer.json()["keys"]] == [1]
    assert [one.status_code for one in sent] == [422, 429]
    assert sent[1].headers["RateLimit"] == '"key";r=0;t=1'
    assert of_other.status_code == 422


async def test_set_limit_of_a_key_is_lifted(admin: Any, key_path: str, operator: Any) -> None:
    asked = {"rate_per_second": 1, "burst": 1, "reason": "It loops"}
    await admin.put(key_path, json=asked, headers=operator)

    answer = await admin.put(key_path, json={"reason": "Mended"}, headers=operator)

    assert answer.json()["keys"] == []


async def test_set_limit_of_a_key_refuses_one_that_was_revoked(
    admin: Any, key_path: str, operator: Any
) -> None:
    await admin.delete(key_path.removesuffix("/rate-limit"), headers=operator)

    answer = await admin.put(key_path, json={"reason": "Why"}, headers=operator)

    assert answer.status_code == 404
    assert answer.json()["code"] == "api_key_not_found"


async def test_requests_that_send_nothing_have_a_limit_of_their_own(
    api: Any, acme: Any, bearer: Any
) -> None:
    first = await api.get("/v1/balance", headers=bearer(acme.live))
    for _ in range(499):
        await api.get("/v1/balance", headers=bearer(acme.live))

    over = await api.get("/v1/balance", headers=bearer(acme.live))
    sent = await api.post(SEND, json={}, headers=bearer(acme.live))

    assert first.headers["RateLimit-Policy"] == '"requests";q=500;w=5'
    assert first.headers["RateLimit"] == '"requests";r=499;t=1'
    assert (over.status_code, over.headers["Retry-After"]) == (429, "1")
    assert sent.status_code == 422


async def test_replayed_request_counts_like_any_other(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="order-1")
    await api.post(SEND, json=message, headers=headers)

    again = await api.post(SEND, json=message, headers=headers)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["RateLimit"] == '"account";r=48;t=1'


async def test_operators_are_not_limited(admin: Any, path: str, operator: Any) -> None:
    answer = await admin.get(path, headers=operator)

    assert "RateLimit" not in answer.headers
