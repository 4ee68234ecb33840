from typing import Any

import pytest

from semalink.domain.account import Account
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import parse_id
from semalink.web.api_key import is_well_formed

ACCOUNTS = "/admin/v1/accounts"
NOWHERE = f"{ACCOUNTS}/acct_{'0' * 32}"


@pytest.fixture
def of_acme(acme: Any) -> str:
    return f"{ACCOUNTS}/acct_{acme.account_id.hex}"


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


async def test_open_account_opens_it_with_its_credits(
    admin: Any, platform: Any, operator: Any
) -> None:
    asked = {"name": "Duka", "kind": "agent", "tier": "growth"}

    answer = await admin.post(ACCOUNTS, json=asked, headers=operator)

    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in asked} == asked
    account_id = parse_id("acct_", answer.json()["id"])
    assert platform.ledger.load(Account, account_id).name == "Duka"
    assert platform.ledger.load(CreditAccount, account_id).posted_micros == 0
    read = await admin.get(answer.headers["Location"], headers=operator)
    assert read.json() == answer.json()


async def test_open_account_opens_one_when_repeated_with_its_key(
    admin: Any, platform: Any, operator: Any
) -> None:
    headers = {**operator, "Idempotency-Key": "open-duka"}
    first = await admin.post(ACCOUNTS, json={"name": "Duka"}, headers=headers)
    platform.clock.pass_by(minutes=5)

    again = await admin.post(ACCOUNTS, json={"name": "Duka"}, headers=headers)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    listed = await admin.get(ACCOUNTS, headers=operator)
    assert [item["name"] for item in listed.json()["items"]].count("Duka") == 1


async def test_open_account_refuses_key_of_another_account(admin: Any, operator: Any) -> None:
    headers = {**operator, "Idempotency-Key": "open-duka"}
    await admin.post(ACCOUNTS, json={"name": "Duka"}, headers=headers)

    answer = await admin.post(ACCOUNTS, json={"name": "Soko"}, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"


async def test_issue_api_key_issues_one_when_repeated_with_its_key(
    admin: Any, operator: Any, of_acme: str
) -> None:
    asked = {"name": "shop", "scopes": ["messages:send"], "mode": "live"}
    headers = {**operator, "Idempotency-Key": "shop-key"}
    first = await admin.post(f"{of_acme}/api-keys", json=asked, headers=headers)

    again = await admin.post(f"{of_acme}/api-keys", json=asked, headers=headers)

    assert (again.status_code, again.json()["code"]) == (409, "api_key_already_issued")
    assert first.json()["id"] in again.json()["detail"]
    listed = await admin.get(f"{of_acme}/api-keys", headers=operator)
    assert [key["name"] for key in listed.json()["items"]].count("shop") == 1


async def test_issue_api_key_refuses_idempotency_key_of_another_account(
    admin: Any, other: Any, operator: Any, of_acme: str
) -> None:
    asked = {"name": "shop", "scopes": ["messages:send"], "mode": "live"}
    headers = {**operator, "Idempotency-Key": "shop-key"}
    await admin.post(f"{of_acme}/api-keys", json=asked, headers=headers)

    answer = await admin.post(
        f"{ACCOUNTS}/acct_{other.account_id.hex}/api-keys", json=asked, headers=headers
    )

    assert answer.json()["code"] == "idempotency_key_reused"


async def test_open_account_refuses_control_characters(admin: Any, operator: Any) -> None:
    answer = await admin.post(ACCOUNTS, json={"name": "a\u0000b"}, headers=operator)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]


async def test_list_accounts_goes_on_with_cursor(
    admin: Any, acme: Any, other: Any, operator: Any
) -> None:
    first = await admin.get(f"{ACCOUNTS}?limit=2", headers=operator)

    second = await admin.get(
        f"{ACCOUNTS}?limit=2&cursor={first.json()['next_cursor']}", headers=operator
    )

    pages = [[item["name"] for item in page.json()["items"]] for page in (first, second)]
    assert sorted(pages[0] + pages[1]) == ["Acme", "Other", "Platform"]
    assert len(pages[0]) == 2
    assert "rel" in first.headers["Link"]
    assert second.json()["next_cursor"] is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/api-keys", None),
        ("POST", "/api-keys", {"name": "x", "scopes": ["balance:read"], "mode": "live"}),
        ("DELETE", f"/api-keys/key_{'0' * 32}", None),
        ("POST", "/top-ups", {"amount_micros": 1, "payment_reference": "x"}),
        ("POST", "/senders", {"sender": "ACME"}),
        ("PUT", "/route", {"aggregator": None}),
    ],
)
@pytest.mark.parametrize("account", [NOWHERE, f"{ACCOUNTS}/acct_0"])
async def test_unknown_account_is_not_found(
    admin: Any, operator: Any, account: str, method: str, path: str, body: Any
) -> None:
    answer = await admin.request(method, account + path, json=body, headers=operator)

    assert answer.status_code == 404
    assert answer.json()["code"] == "account_not_found"


async def test_top_up_credits_a_payment_once(
    admin: Any, platform: Any, acme: Any, operator: Any, of_acme: str
) -> None:
    payment = {"amount_micros": 5_000_000, "payment_reference": "MPESA-1"}
    first = await admin.post(f"{of_acme}/top-ups", json=payment, headers=operator)

    again = await admin.post(f"{of_acme}/top-ups", json=payment, headers=operator)

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.json()["posted_micros"] == 15_000_000
    assert first.json()["account_id"] == of_acme.rpartition("/")[2]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert platform.ledger.load(CreditAccount, acme.account_id).posted_micros == 15_000_000


async def test_top_up_refuses_reference_of_another_payment(
    admin: Any, other: Any, operator: Any, of_acme: str
) -> None:
    payment = {"amount_micros": 5_000_000, "payment_reference": "MPESA-1"}
    await admin.post(f"{of_acme}/top-ups", json=payment, headers=operator)

    answer = await admin.post(
        f"{ACCOUNTS}/acct_{other.account_id.hex}/top-ups", json=payment, headers=operator
    )

    assert answer.status_code == 409
    assert answer.json()["code"] == "payment_reference_reused"


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1, 1.5, "1"])
async def test_top_up_refuses_amounts_out_of_bounds(
    admin: Any, operator: Any, of_acme: str, amount: Any
) -> None:
    payment = {"amount_micros": amount, "payment_reference": "MPESA-1"}

    answer = await admin.post(f"{of_acme}/top-ups", json=payment, headers=operator)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/amount_micros"]


async def test_issued_key_is_shown_once_and_works(
    admin: Any, api: Any, operator: Any, of_acme: str, bearer: Any
) -> None:
    asked = {"name": "shop", "scopes": ["balance:read", "balance:read"], "mode": "live"}

    issued = await admin.post(f"{of_acme}/api-keys", json=asked, headers=operator)

    assert issued.status_code == 201
    shown = issued.json()
    assert is_well_formed(shown["key"])
    assert shown["scopes"] == ["balance:read"]
    listed = await admin.get(f"{of_acme}/api-keys", headers=operator)
    assert shown["key"] not in listed.text
    assert [item["name"] for item in listed.json()["items"]] == ["live", "test", "shop"]
    balance = await api.get("/v1/balance", headers=bearer(shown["key"]))
    assert balance.status_code == 200


@pytest.mark.parametrize("change", [{"mode": "operator"}, {"scopes": ["admin"]}, {"scopes": []}])
async def test_issue_makes_no_operators(
    admin: Any, operator: Any, of_acme: str, change: Any
) -> None:
    asked = {"name": "shop", "scopes": ["balance:read"], "mode": "live", **change}

    answer = await admin.post(f"{of_acme}/api-keys", json=asked, headers=operator)

    assert answer.status_code == 422


@pytest.mark.parametrize("key_id", ["key_0", f"key_{'0' * 32}"])
async def test_revoke_finds_no_such_key(
    admin: Any, operator: Any, of_acme: str, key_id: str
) -> None:
    answer = await admin.delete(f"{of_acme}/api-keys/{key_id}", headers=operator)

    assert answer.status_code == 404
    assert answer.json()["code"] == "api_key_not_found"


async def test_approved_sender_may_be_used(
    admin: Any, api: Any, acme: Any, operator: Any, of_acme: str, bearer: Any
) -> None:
    approved = await admin.post(f"{of_acme}/senders", json={"sender": "Duka"}, headers=operator)

    asked = {"to": "+254712345678", "text": "Karibu!", "sender": "Duka"}
    sent = await api.post("/v1/messages", json=asked, headers=bearer(acme.live))
    assert approved.status_code == 201
    assert sent.status_code == 202


async def test_sender_that_is_none_is_refused(admin: Any, operator: Any, of_acme: str) -> None:
    answer = await admin.post(f"{of_acme}/senders", json={"sender": "-?-"}, headers=operator)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/sender"]


@pytest.mark.parametrize("aggregator", ["africastalking", None])
async def test_prefer_route_is_kept(
    admin: Any, operator: Any, of_acme: str, aggregator: str | None
) -> None:
    answer = await admin.put(f"{of_acme}/route", json={"aggregator": aggregator}, headers=operator)

    account = await admin.get(of_acme, headers=operator)
    assert answer.status_code == 200
    assert account.json()["preferred_aggregator"] == aggregator


async def test_prefer_route_refuses_unknown_aggregator(
    admin: Any, operator: Any, of_acme: str
) -> None:
    answer = await admin.put(f"{of_acme}/route", json={"aggregator": "pigeon"}, headers=operator)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "The aggregators are africastalking, celcom."


async def test_operators_read_any_message(
    admin: Any, api: Any, acme: Any, operator: Any, bearer: Any, message: Any
) -> None:
    sent = (await api.post("/v1/messages", json=message, headers=bearer(acme.live))).json()

    read = await admin.get(f"/admin/v1/messages/{sent['id']}", headers=operator)
    events = await admin.get(f"/admin/v1/messages/{sent['id']}/events", headers=operator)

    assert read.json() == sent
    assert events.json()["items"][0]["name"] == "message.accepted"


@pytest.mark.parametrize("message_id", ["msg_0", f"msg_{'0' * 32}"])
@pytest.mark.parametrize("path", ["", "/events"])
async def test_operators_find_no_such_message(
    admin: Any, operator: Any, message_id: str, path: str
) -> None:
    answer = await admin.get(f"/admin/v1/messages/{message_id}{path}", headers=operator)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("role", "path", "body", "status"),
    [
        ("auditor", "/top-ups", {"amount_micros": 1, "payment_reference": "x"}, 403),
        ("finance", "/top-ups", {"amount_micros": 1, "payment_reference": "x"}, 201),
        ("finance", "/senders", {"sender": "ACME"}, 403),
        ("ops", "/senders", {"sender": "ACME"}, 201),
        ("ops", "/top-ups", {"amount_micros": 1, "payment_reference": "x"}, 403),
    ],
)
async def test_roles_bound_what_operators_do(  # noqa: PLR0917 - fixtures, then the case
    admin: Any,
    platform: Any,
    acme: Any,
    of_acme: str,
    bearer: Any,
    role: str,
    path: str,
    body: Any,
    status: int,
) -> None:
    _, key = await platform.issue(acme.account_id, "operator", [role])

    answer = await admin.post(of_acme + path, json=body, headers=bearer(key))

    assert answer.status_code == status
