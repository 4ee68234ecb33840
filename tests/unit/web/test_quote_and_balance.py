from typing import Any

import pytest

from semalink.web import examples
from semalink.web.quote import QUOTE


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/quote"), ("GET", "/v1/balance")])
async def test_money_is_not_shown_without_key(api: Any, method: str, path: str) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 401


async def test_quote_prices_and_records_nothing(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    (example,) = QUOTE.body_examples.values()
    before = len(platform.ledger.log)

    answer = await api.post("/v1/quote", json=example, headers=bearer(acme.live))

    assert answer.status_code == 200
    assert answer.json() == {**examples.QUOTE, "earliest_send_at": "2026-11-02T08:15:04Z"}
    assert len(platform.ledger.log) == before


async def test_quote_names_every_fault(api: Any, acme: Any, bearer: Any) -> None:
    asked = {"to": "12", "text": "", "sender": "Nobody"}

    answer = await api.post("/v1/quote", json=asked, headers=bearer(acme.live))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/to", "/sender", "/text"]


async def test_balance_shows_what_is_available(
    api: Any, acme: Any, other: Any, bearer: Any, message: Any
) -> None:
    await api.post("/v1/messages", json=message, headers=bearer(acme.live))

    answer = await api.get("/v1/balance", headers=bearer(acme.live))

    assert answer.status_code == 200
    shown = answer.json()
    assert shown["posted_micros"] == 10_000_000
    assert shown["reserved_micros"] == 800_000
    assert shown["available_micros"] == 9_200_000
    assert shown["account_id"] == f"acct_{acme.account_id.hex}"


async def test_balance_asks_to_retry_when_reads_are_away(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    await api.get("/v1/balance", headers=bearer(acme.live))
    platform.reads.is_available = False

    answer = await api.get("/v1/balance", headers=bearer(acme.live))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
