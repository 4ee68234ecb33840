import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import parse_id
from semalink.domain.message import Message
from semalink.web.messages import SEND

PATH = "/v1/messages"


async def test_send_is_refused_without_key(api: Any, message: Any) -> None:
    answer = await api.post(PATH, json=message)

    assert answer.status_code == 401
    assert answer.json()["code"] == "missing_api_key"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="semalink"'


async def test_read_finds_nothing_of_another_tenant(
    api: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> None:
    sent = await api.post(PATH, json=message, headers=bearer(acme.live))
    location = sent.headers["Location"]

    answers = [
        await api.get(path, headers=bearer(other.live)) for path in (location, f"{location}/events")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert {answer.json()["code"] for answer in answers} == {"message_not_found"}


async def test_send_is_logged_once_with_its_ids(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, X_Request_Id="mine-1", Idempotency_Key="order-1")

    with capture_logs() as lines:
        answers = [await api.post(PATH, json=message, headers=headers) for _ in range(2)]

    accepted = [line for line in lines if line["event"] == "message_accepted"]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert accepted == [
        {
            "event": "message_accepted",
            "log_level": "info",
            "message_id": answers[0].json()["id"],
            "account_id": f"acct_{acme.account_id.hex}",
            "request_id": "mine-1",
        }
    ]


async def test_send_reserves_and_records(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {**message, "lane": "priority", "ttl_seconds": 300, "metadata": {"order": "A-1"}}

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live, X_Request_Id="mine-1"))

    assert answer.status_code == 202
    shown = answer.json()
    assert shown["status"] == "accepted"
    assert shown["price_micros"] == 800_000
    assert shown["lane"] == "priority"
    assert shown["mode"] == "live"
    assert shown["metadata"] == {"order": "A-1"}
    assert shown["expires_at"] == "2026-11-02T08:20:04Z"
    assert answer.headers["Location"] == f"{PATH}/{shown['id']}"
    recorded = platform.ledger.load(Message, parse_id("msg_", shown["id"])).asked
    assert recorded.text == "Karibu!"
    assert recorded.request_id == "mine-1"
    assert recorded.actor == f"key:key_{acme.live_key_id.hex}"
    assert platform.ledger.load(CreditAccount, acme.account_id).reserved_micros == 800_000


async def test_send_expires_after_a_day_unless_told(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    answer = await api.post(PATH, json=message, headers=bearer(acme.live))

    assert answer.json()["expires_at"] == "2026-11-03T08:15:04Z"


async def test_send_costs_nothing_when_key_is_a_test_key(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    answer = await api.post(PATH, json=message, headers=bearer(acme.test))

    assert answer.json()["mode"] == "test"
    assert platform.ledger.load(CreditAccount, acme.account_id).reserved_micros == 0


async def test_send_uses_shared_sender(api: Any, acme: Any, bearer: Any, message: Any) -> None:
    asked = {**message, "sender": "SemaLink"}

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    assert answer.status_code == 202


async def test_send_is_refused_when_credits_do_not_suffice(
    api: Any, platform: Any, bearer: Any, message: Any
) -> None:
    poor = await platform.open_tenant("Poor")

    answer = await api.post(PATH, json=message, headers=bearer(poor.live))

    assert answer.status_code == 402
    assert answer.json()["code"] == "insufficient_credits"
    assert answer.json()["errors"] == []


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"to": "12"}, "invalid_number", "/to"),
        ({"to": "+256772123456"}, "unsupported_destination", "/to"),
        ({"sender": "NOT-APPROVED"}, "unknown_sender", "/sender"),
        ({"text": " "}, "empty_text", "/text"),
        ({"text": "ŵ" * 700}, "text_too_long", "/text"),
        ({"text": "Please send your PIN to us"}, "content_blocked", "/text"),
    ],
)
async def test_send_refuses_content(  # noqa: PLR0917 - fixtures, then the case
    api: Any, acme: Any, bearer: Any, message: Any, change: Any, code: str, pointer: str
) -> None:
    answer = await api.post(PATH, json={**message, **change}, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_send_names_every_fault_of_content(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {"to": "12", "text": "", "sender": "Nobody"}

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    assert answer.json()["code"] == "invalid_number"
    assert [error["code"] for error in answer.json()["errors"]] == [
        "invalid_number",
        "unknown_sender",
        "empty_text",
    ]


async def test_send_names_every_invalid_field(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {
        "to": 254712345678,
        "text": "x" * 1531,
        "lane": "express",
        "ttl_seconds": 29,
        "metadata": {"ok": "x", "slash/key": 5},
        "colour~": "red",
    }

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    found = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
    assert found == {
        "/to": "invalid_value",
        "/text": "invalid_value",
        "/sender": "required",
        "/lane": "invalid_value",
        "/ttl_seconds": "invalid_value",
        "/metadata/slash~1key": "invalid_value",
        "/colour~0": "unknown_field",
    }


async def test_send_tells_of_no_body_that_is_no_object(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.post(PATH, json=["hello"], headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [""]


@pytest.mark.parametrize("key", ["order-1", '"order-1"', 'a b"c'])
async def test_send_replays_answer_when_key_and_body_are_repeated(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any, key: str
) -> None:
    headers = bearer(acme.live, Idempotency_Key=key)
    first = await api.post(PATH, json=message, headers=headers)
    platform.clock.pass_by(minutes=5)

    again = await api.post(PATH, json=dict(reversed(message.items())), headers=headers)

    assert again.status_code == 202
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert platform.ledger.load(CreditAccount, acme.account_id).reserved_micros == 800_000


async def test_send_takes_quoted_and_bare_key_for_one(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    bare = bearer(acme.live, Idempotency_Key="order-1")
    quoted = bearer(acme.live, Idempotency_Key='"order-1"')
    first = await api.post(PATH, json=message, headers=bare)

    again = await api.post(PATH, json=message, headers=quoted)

    assert again.json()["id"] == first.json()["id"]


async def test_send_replays_refusal_after_credits_came(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="order-1")
    refused = await api.post(PATH, json={**message, "sender": "Nobody"}, headers=headers)

    again = await api.post(PATH, json={**message, "sender": "Nobody"}, headers=headers)

    assert refused.status_code == again.status_code == 422
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["code"] == "unknown_sender"
    assert again.json()["errors"] == refused.json()["errors"]


async def test_send_is_refused_when_key_comes_with_another_body(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="order-1")
    await api.post(PATH, json=message, headers=headers)

    answers = [
        await api.post(PATH, json={**message, **change}, headers=headers)
        for change in ({"text": "Other"}, {"to": "12"})
    ]

    assert [answer.json()["code"] for answer in answers] == ["idempotency_key_reused"] * 2


async def test_send_shares_no_key_between_modes_or_tenants(
    api: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> None:
    keys = (acme.live, acme.test, other.live)

    answers = [
        await api.post(PATH, json=message, headers=bearer(key, Idempotency_Key="order-1"))
        for key in keys
    ]

    assert len({answer.json()["id"] for answer in answers}) == len(keys)


@pytest.mark.parametrize(
    "key", ["", " ", '""', '"open', "x" * 256, f'"{"x" * 256}"', "tab\tbed", '"a"b"']
)
async def test_send_refuses_malformed_key(
    api: Any, acme: Any, bearer: Any, message: Any, key: str
) -> None:
    headers = bearer(acme.live, Idempotency_Key=key)

    answer = await api.post(PATH, json=message, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_idempotency_key"


async def test_send_answers_once_the_same_for_many_at_once(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="order-1")

    answers = await asyncio.gather(
        *(api.post(PATH, json=message, headers=headers) for _ in range(5))
    )

    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_send_asks_to_retry_when_ledger_is_away(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    platform.ledger.is_available = False

    answer = await api.post(PATH, json=message, headers=bearer(acme.live))

    assert answer.status_code == 503
    assert answer.json()["code"] == "service_unavailable"
    assert answer.json()["retryable"] is True
    assert answer.headers["Retry-After"] == "1"


async def test_send_asks_for_the_same_key_when_outcome_is_in_doubt(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    headers = bearer(acme.live, Idempotency_Key="order-1")
    platform.ledger.loses_next_answer = True
    doubtful = await api.post(PATH, json=message, headers=headers)

    again = await api.post(PATH, json=message, headers=headers)

    assert doubtful.status_code == 503
    assert doubtful.json()["code"] == "outcome_in_doubt"
    assert again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_send_is_put_off_when_caller_is_too_fast(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    for _ in range(50):
        await api.post(PATH, json=message, headers=bearer(acme.live))

    answer = await api.post(PATH, json={}, headers=bearer(acme.live))

    assert answer.status_code == 429
    assert answer.json()["code"] == "rate_limited"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["RateLimit"] == '"account";r=0;t=1'


def test_idempotency_is_bound_to_method_and_route() -> None:
    assert SEND.route_name == "POST /v1/messages"
