import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sender_ids import ApproveSender
from semalink.application.submission import Job, Policy, RecordReceipt, StartSubmission
from semalink.application.terms import SetPriceList
from semalink.domain.account import Kind, Tier
from semalink.domain.ids import parse_id

SCOPES = [
    "balance:read", "customers:read", "customers:write", "ledger:read", "messages:read",
    "messages:send",
]  # fmt: skip
COST = 800_000
PRICE = 1_234_567
CREDITS = 98_765_432
STRANGER = f"acct_{'0' * 32}"


@dataclass
class Agency:
    """An agent with one customer that it pays for."""

    agent_id: UUID
    customer_id: UUID
    agent: str
    agent_test: str
    customer: str


@pytest.fixture
async def agency(platform: Any) -> Agency:
    agent_id, customer_id = (platform.new_id(platform.clock.now) for _ in range(2))
    for command in (
        OpenAccount(agent_id, "Agent", Kind.AGENT, Tier.STARTER, platform.cause),
        TopUp(agent_id, CREDITS, "agent pays", platform.cause),
        SetPriceList(agent_id, {"KE": PRICE}, platform.cause),
        OpenAccount(
            customer_id, "Duka", Kind.CUSTOMER, Tier.STARTER, platform.cause, agent_id=agent_id
        ),
        ApproveSender(customer_id, "ACME", platform.cause),
    ):
        await platform.ledger.execute(command)
    _, agent = await platform.issue(agent_id, "live", SCOPES)
    _, agent_test = await platform.issue(agent_id, "test", SCOPES)
    _, customer = await platform.issue(customer_id, "live", SCOPES)
    return Agency(agent_id, customer_id, agent, agent_test, customer)


async def deliver(platform: Any, agency: Agency, message_id: str, state: ReportState) -> None:
    found = parse_id("msg_", message_id)
    assert found is not None
    job = Job(found, agency.customer_id, agency.agent_id)
    cause = platform.cause
    await platform.ledger.execute(StartSubmission(job, None, Policy(), cause))
    receipt = Receipt(f"ref {message_id}", cost="KES 0.6543", answer='{"cost":"KES 0.6543"}')
    await platform.ledger.execute(RecordReceipt(job, 1, "celcom", receipt, cause))
    report = DeliveryReport(f"ref {message_id}", state, state.value)
    await platform.ledger.execute(
        RecordReport(job.message_id, job.billing_account_id, "celcom", report, cause)
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/customers"),
        ("GET", "/v1/customers"),
        ("GET", f"/v1/customers/{STRANGER}"),
        ("PUT", f"/v1/customers/{STRANGER}/spending-cap"),
        ("POST", f"/v1/customers/{STRANGER}/transfers"),
        ("GET", f"/v1/customers/{STRANGER}/messages"),
        ("GET", "/v1/price-list"),
        ("PUT", "/v1/price-list"),
        ("GET", "/v1/margins"),
        ("GET", "/v1/ledger/entries"),
    ],
)
async def test_customers_are_not_shown_without_key(api: Any, method: str, path: str) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 401


async def test_customer_of_another_agent_is_not_found(
    api: Any, platform: Any, agency: Agency, bearer: Any
) -> None:
    rival_id = platform.new_id(platform.clock.now)
    await platform.ledger.execute(
        OpenAccount(rival_id, "Rival", Kind.AGENT, Tier.STARTER, platform.cause)
    )
    _, rival = await platform.issue(rival_id, "live", SCOPES)
    one = f"/v1/customers/acct_{agency.customer_id.hex}"
    cap, transfer = {"spending_cap_micros": 1}, {"amount_micros": 1, "reason": "r"}

    answers = [
        await api.get(one, headers=bearer(rival)),
        await api.get(f"{one}/messages", headers=bearer(rival)),
        await api.put(f"{one}/spending-cap", json=cap, headers=bearer(rival)),
        await api.post(f"{one}/transfers", json=transfer, headers=bearer(rival)),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4


async def test_open_customer_opens_it_under_the_agent_that_calls(
    api: Any, agency: Agency, bearer: Any
) -> None:
    headers = bearer(agency.agent, Idempotency_Key="open-1")

    first = await api.post("/v1/customers", json={"name": "Kiosk"}, headers=headers)
    again = await api.post("/v1/customers", json={"name": "Kiosk"}, headers=headers)

    assert (first.status_code, again.json()) == (201, first.json())
    read = await api.get(first.headers["Location"], headers=bearer(agency.agent))
    assert read.json() == first.json()
    page = await api.get("/v1/customers?limit=1", headers=bearer(agency.agent))
    assert [one["name"] for one in page.json()["items"]] == ["Duka"]
    rest = await api.get(
        f"/v1/customers?limit=1&cursor={page.json()['next_cursor']}", headers=bearer(agency.agent)
    )
    assert [one["name"] for one in rest.json()["items"]] == ["Kiosk"]


async def test_open_customer_refuses_a_tier_above_the_agents(
    api: Any, platform: Any, agency: Agency, bearer: Any
) -> None:
    before = len(platform.ledger.log)
    asked = {"name": "Kiosk", "tier": "growth"}

    answer = await api.post("/v1/customers", json=asked, headers=bearer(agency.agent))

    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/tier"]
    assert len(platform.ledger.log) == before


async def test_test_keys_and_accounts_without_customers_change_nothing(
    api: Any, platform: Any, agency: Agency, acme: Any, bearer: Any
) -> None:
    before = len(platform.ledger.log)
    name, prices = {"name": "Kiosk"}, {"segment_micros": {"KE": 1}}

    tried = await api.post("/v1/customers", json=name, headers=bearer(agency.agent_test))
    opened = await api.post("/v1/customers", json=name, headers=bearer(acme.live))
    priced = await api.put("/v1/price-list", json=prices, headers=bearer(acme.live))
    read = await api.get("/v1/price-list", headers=bearer(acme.live))

    assert tried.status_code == 403
    assert [one.json()["code"] for one in (opened, priced, read)] == ["not_an_agent"] * 3
    assert len(platform.ledger.log) == before


async def test_price_list_is_replaced_and_warns_below_cost(
    api: Any, agency: Agency, bearer: Any
) -> None:
    wanted = {"segment_micros": {"KE": 1_000_000, "KE/airtel": 700_000}}

    answer = await api.put("/v1/price-list", json=wanted, headers=bearer(agency.agent))
    bad = await api.put(
        "/v1/price-list", json={"segment_micros": {"kenya": 1}}, headers=bearer(agency.agent)
    )

    assert answer.status_code == 200
    assert answer.json() == {
        **wanted,
        "below_cost": [{"destination": "KE/airtel", "price_micros": 700_000, "cost_micros": COST}],
    }
    read = await api.get("/v1/price-list", headers=bearer(agency.agent))
    assert read.json() == answer.json()
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/segment_micros")


async def test_sending_reserves_the_cost_and_asks_the_price(
    api: Any, platform: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    quoted = await api.post("/v1/quote", json=message, headers=bearer(agency.customer))
    sent = await api.post("/v1/messages", json=message, headers=bearer(agency.customer))
    many = await api.post(
        "/v1/messages/batch", json={"messages": [message]}, headers=bearer(agency.customer)
    )

    assert quoted.json()["price_micros"] == PRICE
    assert sent.json()["price_micros"] == PRICE
    assert many.json()["items"][0]["message"]["price_micros"] == PRICE
    assert platform.ledger.balance(agency.agent_id).reserved_micros == 2 * COST


async def test_customer_sees_no_figure_of_its_agent(
    api: Any, platform: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    key = bearer(agency.customer)
    sent = await api.post("/v1/messages", json=message, headers=key)
    await deliver(platform, agency, sent.json()["id"], ReportState.REJECTED)
    other = await api.post("/v1/messages", json=message, headers=key)
    await deliver(platform, agency, other.json()["id"], ReportState.DELIVERED)
    one = f"/v1/messages/{sent.json()['id']}"
    paths = (
        one, f"{one}/events", f"{one}/explain", "/v1/messages",
        f"/v1/messages/{other.json()['id']}/events",
        "/v1/balance", "/v1/ledger/entries", "/v1/customers", "/v1/margins", "/v1/price-list",
        "/v1/balance?after_entry=1", "/v1/balance?at=2026-11-02T08:15:04Z",
    )  # fmt: skip

    texts = [sent.text, *[(await api.get(path, headers=key)).text for path in paths]]
    texts.append((await api.post("/v1/quote", json=message, headers=key)).text)

    figures = "|".join((str(COST), str(CREDITS), str(CREDITS - COST), "0[.]6543"))
    # Ids are hexadecimal, and may hold such digits by chance.
    secret = re.compile(rf"(?<![0-9a-f])({figures})(?![0-9a-f])|{agency.agent_id.hex}")
    assert [text for text in texts if secret.search(text)] == []
    assert all(str(PRICE) in text for text in texts[:4])


async def test_refused_customer_learns_nothing_of_its_agent(
    api: Any, platform: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    await platform.ledger.execute(SetPriceList(agency.agent_id, {"KE": 5}, platform.cause))
    for _ in range(CREDITS // (COST * 10)):
        long = {**message, "text": "x" * 1_530}
        await api.post("/v1/messages", json=long, headers=bearer(agency.customer))

    refused = [
        await api.post(
            "/v1/messages", json={**message, "text": "x" * 1_530}, headers=bearer(agency.customer)
        )
        for _ in range(2)
    ][-1]

    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
    assert "available" not in refused.json()["detail"]
    left = platform.ledger.balance(agency.agent_id).available_micros
    assert str(left) not in refused.text


async def test_spending_cap_bounds_a_month(
    api: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    one = f"/v1/customers/acct_{agency.customer_id.hex}"
    cap = {"spending_cap_micros": PRICE + 1}

    capped = await api.put(f"{one}/spending-cap", json=cap, headers=bearer(agency.agent))
    sent = await api.post("/v1/messages", json=message, headers=bearer(agency.customer))
    refused = await api.post("/v1/messages", json=message, headers=bearer(agency.customer))
    balance = await api.get("/v1/balance", headers=bearer(agency.customer))

    assert (capped.status_code, sent.status_code) == (200, 202)
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_cap_reached")
    shown = balance.json()
    assert shown["paid_by"] == "agent"
    assert shown["spending_cap_micros"] == PRICE + 1
    assert shown["spent_this_month_micros"] == PRICE
    assert shown["available_micros"] == 1
    hidden = ("billing_account_id", "posted_micros", "reserved_micros", "credit_limit_micros")
    assert [shown[name] for name in hidden] == [None] * 4


async def test_agent_sees_the_margin_of_each_message_and_customer(
    api: Any, platform: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    states = (ReportState.DELIVERED, ReportState.REJECTED)
    for state in states:
        sent = await api.post("/v1/messages", json=message, headers=bearer(agency.customer))
        await deliver(platform, agency, sent.json()["id"], state)
    one = f"/v1/customers/acct_{agency.customer_id.hex}"

    page = await api.get(f"{one}/messages?limit=1", headers=bearer(agency.agent))
    rest = await api.get(
        f"{one}/messages?limit=1&cursor={page.json()['next_cursor']}", headers=bearer(agency.agent)
    )
    margins = await api.get("/v1/margins?month=2026-11", headers=bearer(agency.agent))

    rows = [*page.json()["items"], *rest.json()["items"]]
    assert [(row["price_micros"], row["cost_micros"]) for row in rows] == [(PRICE, COST)] * 2
    assert [row["margin_micros"] for row in rows] == [0, PRICE - COST]
    assert margins.json() == {
        "month": "2026-11",
        "items": [
            {
                "customer_id": f"acct_{agency.customer_id.hex}",
                "name": "Duka",
                "messages": 1,
                "price_micros": PRICE,
                "cost_micros": COST,
                "margin_micros": PRICE - COST,
            }
        ],
    }
    assert platform.ledger.balance(agency.agent_id).posted_micros == CREDITS - COST


async def test_transfer_gives_credits_to_a_customer_that_pays_itself(
    api: Any, agency: Agency, bearer: Any
) -> None:
    asked = {"name": "Own", "pays_itself": True}
    opened = await api.post("/v1/customers", json=asked, headers=bearer(agency.agent))
    path = f"/v1/customers/{opened.json()['id']}"
    amount = {"amount_micros": 1_000_000, "reason": "first credits"}

    headers = bearer(agency.agent, Idempotency_Key="give-1")
    given = await api.post(f"{path}/transfers", json=amount, headers=headers)
    again = await api.post(f"{path}/transfers", json=amount, headers=headers)
    sponsored = f"/v1/customers/acct_{agency.customer_id.hex}/transfers"
    refused = await api.post(sponsored, json=amount, headers=bearer(agency.agent))
    capped = await api.put(
        f"{path}/spending-cap", json={"spending_cap_micros": 5}, headers=bearer(agency.agent)
    )

    assert (given.status_code, again.json()) == (201, given.json())
    assert given.json()["available_micros"] == CREDITS - 1_000_000
    assert refused.json()["code"] == "paid_by_agent"
    assert capped.json()["code"] == "not_paid_by_agent"


async def test_balance_is_told_after_any_entry_and_at_any_instant(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    platform.clock.pass_by(seconds=5)
    await api.post("/v1/messages", json=message, headers=bearer(acme.live))
    entries = (await api.get("/v1/ledger/entries", headers=bearer(acme.live))).json()["items"]

    async def ask(query: str) -> Any:
        return (await api.get(f"/v1/balance?{query}", headers=bearer(acme.live))).json()

    assert [one["name"] for one in entries] == [
        "credit.reserved", "credit.topped_up", "credit.created",
    ]  # fmt: skip
    assert (await ask("after_entry=2"))["available_micros"] == 10_000_000
    assert (await ask("after_entry=3"))["available_micros"] == 9_200_000
    assert (await ask("at=2026-11-02T08:15:08.999999Z"))["entry"] == 2
    assert (await ask("at=2026-11-02T08:15:09Z"))["entry"] == 3
    assert (await ask("at=2020-01-01T00:00:00Z"))["posted_micros"] == 0
    assert (await ask("after_entry=4"))["code"] == "entry_not_found"
    assert (await ask("after_entry=4&at=2020-01-01T00:00:00Z"))["code"] == "bad_request"


async def test_entries_are_filtered_and_paged(api: Any, acme: Any, bearer: Any) -> None:
    path = "/v1/ledger/entries"

    first = await api.get(f"{path}?limit=1", headers=bearer(acme.live))
    cursor = first.json()["next_cursor"]
    second = await api.get(f"{path}?limit=1&cursor={cursor}", headers=bearer(acme.live))
    named = await api.get(f"{path}?name=topped_up", headers=bearer(acme.live))
    misused = await api.get(
        f"{path}?limit=1&name=charged&cursor={cursor}", headers=bearer(acme.live)
    )

    assert [one.json()["items"][0]["entry"] for one in (first, second)] == [2, 1]
    assert second.json()["next_cursor"] is None
    assert [one["name"] for one in named.json()["items"]] == ["credit.topped_up"]
    assert misused.json()["code"] == "invalid_cursor"


async def test_movements_of_a_customer_are_paged_by_message(
    api: Any, agency: Agency, bearer: Any, message: Any
) -> None:
    for _ in range(2):
        await api.post("/v1/messages", json=message, headers=bearer(agency.customer))

    first = await api.get("/v1/ledger/entries?limit=1", headers=bearer(agency.customer))
    cursor = first.json()["next_cursor"]
    second = await api.get(
        f"/v1/ledger/entries?limit=1&cursor={cursor}", headers=bearer(agency.customer)
    )

    [one], [two] = first.json()["items"], second.json()["items"]
    assert one["message_id"] != two["message_id"]
    assert (one["name"], one["amount_micros"], one["entry"]) == ("credit.reserved", PRICE, None)
