from typing import Any

import pytest
from structlog.testing import capture_logs

from semalink.domain.account import Tier
from semalink.domain.credit_account import CreditAccount

PATH = "/v1/messages/batch"


async def test_batch_is_refused_without_key(api: Any, message: Any) -> None:
    answer = await api.post(PATH, json={"messages": [message]})

    assert answer.status_code == 401


async def test_batch_decides_each_message_on_its_own(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = [message, {**message, "to": "12"}, {**message, "sender": "Nobody"}, message]

    answer = await api.post(PATH, json={"messages": asked}, headers=bearer(acme.live))

    assert answer.status_code == 202
    outcome = answer.json()
    assert (outcome["accepted_count"], outcome["refused_count"]) == (2, 2)
    assert [item["index"] for item in outcome["items"]] == [0, 1, 2, 3]
    assert outcome["items"][0]["message"]["status"] == "accepted"
    assert outcome["items"][1]["refused"]["pointer"] == "/messages/1/to"
    assert outcome["items"][2]["refused"]["code"] == "unknown_sender"
    assert platform.ledger.load(CreditAccount, acme.account_id).reserved_micros == 1_600_000
    assert answer.headers["RateLimit"] == '"account";r=46;t=1'


async def test_batch_logs_each_accepted_message(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {"messages": [message, {**message, "to": "12"}, message]}

    with capture_logs() as lines:
        answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    accepted = [line["message_id"] for line in lines if line["event"] == "message_accepted"]
    items = answer.json()["items"]
    assert accepted == [items[0]["message"]["id"], items[2]["message"]["id"]]


async def test_batch_refuses_what_credits_do_not_cover(
    api: Any, platform: Any, bearer: Any, message: Any
) -> None:
    poor = await platform.open_tenant("Poor", credit_micros=1_000_000)

    answer = await api.post(PATH, json={"messages": [message] * 2}, headers=bearer(poor.live))

    items = answer.json()["items"]
    assert "message" in items[0]
    assert items[1]["refused"]["code"] == "insufficient_credits"
    assert items[1]["refused"]["pointer"] is None


async def test_batch_replays_whole_outcome(api: Any, acme: Any, bearer: Any, message: Any) -> None:
    headers = bearer(acme.live, Idempotency_Key="batch-1")
    asked = {"messages": [message, {**message, "to": "12"}]}
    first = await api.post(PATH, json=asked, headers=headers)

    again = await api.post(PATH, json=asked, headers=headers)

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_batch_names_every_invalid_field_of_every_message(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {"messages": [{**message, "to": 1}, message, {"text": "x", "lane": "x"}], "dry": True}

    answer = await api.post(PATH, json=asked, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/messages/0/to",
        "/messages/2/to",
        "/messages/2/sender",
        "/messages/2/lane",
        "/dry",
    ]


@pytest.mark.parametrize("count", [0, 1_001])
async def test_batch_refuses_none_and_too_many(
    api: Any, acme: Any, bearer: Any, message: Any, count: int
) -> None:
    answer = await api.post(PATH, json={"messages": [message] * count}, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/messages"]


async def test_batch_takes_a_thousand(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    large = await platform.open_tenant("Large", tier=Tier.ENTERPRISE)

    answer = await api.post(PATH, json={"messages": [message] * 1_000}, headers=bearer(large.test))

    assert answer.json()["accepted_count"] == 1_000


async def test_batch_is_refused_for_good_when_it_is_larger_than_the_burst(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    answer = await api.post(PATH, json={"messages": [message] * 51}, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert answer.json()["code"] == "batch_over_burst"
    assert "may send 50 at once" in answer.json()["detail"]
    assert not answer.json()["retryable"]
    assert platform.buckets.asked == []


async def test_batch_costs_as_much_as_it_has_messages(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    await api.post(PATH, json={"messages": [message] * 30}, headers=bearer(acme.live))

    second = await api.post(PATH, json={"messages": [message] * 30}, headers=bearer(acme.live))
    platform.clock.pass_by(seconds=1)
    third = await api.post(PATH, json={"messages": [message] * 30}, headers=bearer(acme.live))

    assert second.status_code == 429
    assert second.headers["Retry-After"] == "1"
    assert third.status_code == 202
    assert third.headers["RateLimit"] == '"account";r=0;t=5'
