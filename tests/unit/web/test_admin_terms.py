from typing import Any
from uuid import UUID

import pytest

from semalink.domain.account import Account, Kind

NOWHERE = f"/admin/v1/accounts/acct_{'0' * 32}"
ADJUSTMENT = {"amount_micros": 25, "category": "goodwill", "reason": "Outage."}
LIMIT = {"credit_limit_micros": 5_000_000, "reason": "Contract."}


@pytest.fixture
def of_acme(acme: Any) -> str:
    return f"/admin/v1/accounts/acct_{acme.account_id.hex}"


@pytest.fixture
def platform_id(platform: Any, admin_key: str) -> UUID:
    assert admin_key
    accounts = (platform.ledger.load(Account, one) for one in platform.ledger.ids(Account))
    return next(one.id for one in accounts if one.kind == Kind.PLATFORM)


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"{NOWHERE}/credit-limit"),
        ("PUT", f"{NOWHERE}/spending-cap"),
        ("PUT", f"{NOWHERE}/price-list"),
        ("PUT", f"{NOWHERE}/refund-rule"),
        ("POST", f"{NOWHERE}/adjustments"),
        ("GET", f"{NOWHERE}/balance"),
        ("GET", f"{NOWHERE}/entries"),
        ("GET", "/admin/v1/adjustments"),
        ("POST", "/admin/v1/transfers"),
    ],
)
async def test_terms_are_not_shown_without_key(admin: Any, method: str, path: str) -> None:
    answer = await admin.request(method, path)

    assert answer.status_code == 401


async def test_terms_of_an_unknown_account_are_not_found(admin: Any, operator: Any) -> None:
    answers = [
        await admin.put(f"{NOWHERE}/credit-limit", json=LIMIT, headers=operator),
        await admin.put(
            f"{NOWHERE}/spending-cap", json={"spending_cap_micros": 1}, headers=operator
        ),
        await admin.put(f"{NOWHERE}/price-list", json={"segment_micros": {}}, headers=operator),
        await admin.put(f"{NOWHERE}/refund-rule", json={"refunded_on": None}, headers=operator),
        await admin.post(f"{NOWHERE}/adjustments", json=ADJUSTMENT, headers=operator),
        await admin.get(f"{NOWHERE}/balance", headers=operator),
        await admin.get(f"{NOWHERE}/entries", headers=operator),
    ]

    assert [answer.status_code for answer in answers] == [404] * len(answers)


async def test_set_credit_limit_lends_and_is_an_entry(
    admin: Any, operator: Any, of_acme: str
) -> None:
    answer = await admin.put(f"{of_acme}/credit-limit", json=LIMIT, headers=operator)

    assert (answer.status_code, answer.json()["available_micros"]) == (200, 15_000_000)
    entries = await admin.get(f"{of_acme}/entries?limit=1", headers=operator)
    [entry] = entries.json()["items"]
    assert entry["name"] == "credit.limit_set"
    assert entry["data"]["reason"] == "Contract."
    before = await admin.get(f"{of_acme}/balance?after_entry=2", headers=operator)
    assert before.json()["credit_limit_micros"] == 0


async def test_adjustment_is_applied_by_a_second_person(
    admin: Any, platform: Any, platform_id: Any, operator: Any, bearer: Any, of_acme: str
) -> None:
    _, second = await platform.issue(platform_id, "operator", ["finance"])
    headers = {**operator, "Idempotency-Key": "adjust-1"}
    proposed = await admin.post(f"{of_acme}/adjustments", json=ADJUSTMENT, headers=headers)
    again = await admin.post(f"{of_acme}/adjustments", json=ADJUSTMENT, headers=headers)
    path = f"/admin/v1/adjustments/{proposed.json()['id']}"

    same = await admin.post(f"{path}/approve", headers=operator)
    waiting = await admin.get("/admin/v1/adjustments?state=proposed", headers=operator)
    approved = await admin.post(f"{path}/approve", headers=bearer(second))
    twice = await admin.post(f"{path}/approve", headers=bearer(second))

    assert (proposed.status_code, again.json()) == (201, proposed.json())
    assert same.json()["code"] == "same_person"
    assert [one["id"] for one in waiting.json()["items"]] == [proposed.json()["id"]]
    assert (approved.status_code, approved.json()["state"]) == (200, "applied")
    assert approved.json()["entry"] == 3
    assert twice.json() == approved.json()
    balance = await admin.get(f"{of_acme}/balance", headers=operator)
    assert balance.json()["posted_micros"] == 10_000_025


async def test_adjustments_are_rejected_and_paged(admin: Any, operator: Any, of_acme: str) -> None:
    ids = []
    for _ in range(2):
        made = await admin.post(f"{of_acme}/adjustments", json=ADJUSTMENT, headers=operator)
        ids.append(made.json()["id"])

    rejected = await admin.post(
        f"/admin/v1/adjustments/{ids[0]}/reject", json={"reason": "Twice."}, headers=operator
    )
    page = await admin.get("/admin/v1/adjustments?limit=1", headers=operator)
    cursor = page.json()["next_cursor"]
    rest = await admin.get(f"/admin/v1/adjustments?limit=1&cursor={cursor}", headers=operator)
    nothing = await admin.post(
        f"{of_acme}/adjustments", json={**ADJUSTMENT, "amount_micros": 0}, headers=operator
    )
    unknown = [
        await admin.post(f"/admin/v1/adjustments/{one}/approve", headers=operator)
        for one in ("adj_1", f"adj_{'0' * 32}")
    ]

    assert (rejected.json()["state"], rejected.json()["entry"]) == ("rejected", None)
    assert [one.json()["items"][0]["id"] for one in (page, rest)] == ids[::-1]
    assert nothing.status_code == 422
    assert [one.json()["code"] for one in unknown] == ["adjustment_not_found"] * 2


async def test_agent_and_customer_are_opened_priced_capped_and_given_credits(
    admin: Any, operator: Any
) -> None:
    async def opened(**asked: Any) -> Any:
        return (await admin.post("/admin/v1/accounts", json=asked, headers=operator)).json()

    async def put(account: Any, what: str, **asked: Any) -> Any:
        path = f"/admin/v1/accounts/{account['id']}/{what}"
        return (await admin.put(path, json=asked, headers=operator)).json()

    agent = await opened(name="Agent", kind="agent")
    paid = await opened(name="Paid", kind="customer", agent_id=agent["id"])
    own = await opened(name="Own", kind="customer", agent_id=agent["id"], pays_itself=True)
    await admin.post(
        f"/admin/v1/accounts/{agent['id']}/top-ups",
        json={
            "amount_micros": 9,
            "payment_reference": "P1",
            "currency": "KES",
            "paid_minor_units": 5,
        },
        headers=operator,
    )
    move = {
        "from_account_id": agent["id"],
        "to_account_id": own["id"],
        "amount_micros": 4,
        "reason": "r",
    }
    moved = await admin.post("/admin/v1/transfers", json=move, headers=operator)

    assert (paid["billing_account_id"], own["billing_account_id"]) == (agent["id"], own["id"])
    assert (await opened(name="X", kind="customer"))["code"] == "agent_required"
    assert (await put(agent, "price-list", segment_micros={"KE": 7}))["price_list"] == {"KE": 7}
    assert (await put(paid, "spending-cap", spending_cap_micros=6))["spending_cap_micros"] == 6
    assert (await put(paid, "credit-limit", **LIMIT))["code"] == "paid_by_agent"
    ruled = await put(paid, "refund-rule", refunded_on=["failed"])
    assert ruled["refunded_on"] == ["failed"]
    assert moved.json()["sender"]["posted_micros"] == 5
    assert moved.json()["receiver"]["posted_micros"] == 4
    shown = await admin.get(f"/admin/v1/accounts/{paid['id']}", headers=operator)
    assert shown.json()["agent_id"] == agent["id"]


async def test_top_up_is_refused_when_half_of_the_payment_is_told(
    admin: Any, operator: Any, of_acme: str
) -> None:
    asked = {"amount_micros": 9, "payment_reference": "P1", "currency": "KES"}

    answer = await admin.post(f"{of_acme}/top-ups", json=asked, headers=operator)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/currency")
