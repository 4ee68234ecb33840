from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.ids import ACCOUNT_PREFIX, format_id

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
async def operator(platform: Any, acme: Any) -> str:
    """A key of an operator, at the begin of the month after the first entries."""
    key: str = await platform.open_platform()
    end = month_bounds(month_of(platform.clock.now))[1]
    platform.clock.now = end + timedelta(minutes=1)
    return key


MONTH = "2026-11"


async def test_close_closes_a_month_and_says_when_it_was(
    admin: Any, operator: str, bearer: Bearer
) -> None:
    first = await admin.post(f"/admin/v1/months/{MONTH}/close", headers=bearer(operator))
    second = await admin.post(f"/admin/v1/months/{MONTH}/close", headers=bearer(operator))

    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["closed_before"], second.json()["closed_before"]) == (False, True)
    assert first.json()["month"] == second.json()["month"]
    listed = await admin.get("/admin/v1/months", headers=bearer(operator))
    assert [one["month"] for one in listed.json()["items"]] == [MONTH]


@pytest.mark.parametrize(
    ("month", "status", "code"),
    [
        ("2026-12", 409, "month_not_finished"),
        ("2026-10", 409, "month_out_of_order"),
        ("November", 404, "not_found"),
    ],
)
async def test_close_is_refused(
    admin: Any, operator: str, bearer: Bearer, month: str, status: int, code: str
) -> None:
    answer = await admin.post(f"/admin/v1/months/{month}/close", headers=bearer(operator))

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_close_is_not_for_auditors(platform: Any, admin: Any, bearer: Bearer) -> None:
    await platform.open_platform()
    tenant = await platform.open_tenant("Auditing")
    _, key = await platform.issue(tenant.account_id, "operator", ["auditor"])

    closing = await admin.post(f"/admin/v1/months/{MONTH}/close", headers=bearer(key))
    listing = await admin.get("/admin/v1/months", headers=bearer(key))

    assert (closing.status_code, listing.status_code) == (403, 200)


async def test_trial_balance_adds_up_to_nothing(admin: Any, operator: str, bearer: Bearer) -> None:
    now = await admin.get("/admin/v1/trial-balance", headers=bearer(operator))
    then = await admin.get(f"/admin/v1/trial-balance?month={MONTH}", headers=bearer(operator))

    accounts = {one["account"]: one["balance_micros"] for one in now.json()["accounts"]}
    assert now.json()["sum_micros"] == sum(accounts.values()) == 0
    assert accounts["payments"] == 10_000_000
    assert then.json()["accounts"] == now.json()["accounts"]


@pytest.mark.parametrize(("month", "status"), [("2026-13", 404), ("soon", 422)])
async def test_trial_balance_of_no_month_is_refused(
    admin: Any, operator: str, bearer: Bearer, month: str, status: int
) -> None:
    answer = await admin.get(f"/admin/v1/trial-balance?month={month}", headers=bearer(operator))

    assert answer.status_code == status


async def test_statement_of_a_month_that_has_not_begun_is_refused(
    api: Any, acme: Any, bearer: Bearer
) -> None:
    answer = await api.get("/v1/statements/2026-12", headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (409, "month_not_closed")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("json", '"closed":false,"as_of":"2026-11-'),
        ("csv", "so_far,2026-11-"),
        ("html", "<h1>Statement of 2026-11 so far</h1>"),
    ],
)
async def test_statement_of_an_open_month_says_that_it_is_not_final(
    platform: Any, api: Any, acme: Any, bearer: Bearer, wanted: str, said: str
) -> None:
    path = f"/v1/statements/{MONTH}?format={wanted}"

    so_far = await api.get(path, headers=bearer(acme.live))

    assert so_far.status_code == 200
    assert said in so_far.text
    assert "pay Acme" in so_far.text
    platform.clock.now = month_bounds(MONTH)[1] + timedelta(minutes=1)
    await platform.months.close(MONTH, platform.cause)
    assert said not in (await api.get(path, headers=bearer(acme.live))).text


async def test_statement_so_far_is_saved_under_a_name_of_its_own(
    platform: Any, api: Any, acme: Any, bearer: Bearer
) -> None:
    path = f"/v1/statements/{MONTH}?format=csv"

    so_far = await api.get(path, headers=bearer(acme.live))
    platform.clock.now = month_bounds(MONTH)[1] + timedelta(minutes=1)
    await platform.months.close(MONTH, platform.cause)
    closed = await api.get(path, headers=bearer(acme.live))

    assert 'filename="statement-2026-11-so-far.csv"' in so_far.headers["content-disposition"]
    assert 'filename="statement-2026-11.csv"' in closed.headers["content-disposition"]


@pytest.mark.parametrize(
    ("wanted", "media_type"),
    [("json", "application/json"), ("csv", "text/csv"), ("html", "text/html")],
)
async def test_statement_comes_in_three_forms(
    platform: Any, api: Any, acme: Any, bearer: Bearer, wanted: str, media_type: str
) -> None:
    platform.clock.now = month_bounds(MONTH)[1] + timedelta(minutes=1)
    await platform.months.close(MONTH, platform.cause)
    path = f"/v1/statements/{MONTH}?format={wanted}"

    first = await api.get(path, headers=bearer(acme.live))
    second = await api.get(path, headers=bearer(acme.live))

    assert first.status_code == 200
    assert first.headers["content-type"].startswith(media_type)
    assert first.content == second.content
    assert "pay Acme" in first.text
    assert first.headers["content-security-policy"].startswith("default-src 'none'")


async def test_statements_are_listed_for_their_account(
    platform: Any, api: Any, acme: Any, operator: str, bearer: Bearer
) -> None:
    before = await api.get("/v1/statements", headers=bearer(acme.live))
    await platform.months.close(MONTH, platform.cause)

    after = await api.get("/v1/statements", headers=bearer(acme.live))

    running = {"month": "2026-12", "closed": False}
    assert before.json()["items"] == [running, {"month": MONTH, "closed": False}]
    assert after.json() == {"items": [running, {"month": MONTH}], "next_cursor": None}


async def test_operators_read_the_statement_of_any_account(
    platform: Any, api: Any, admin: Any, acme: Any, operator: str, bearer: Bearer
) -> None:
    path = f"/admin/v1/accounts/{format_id(ACCOUNT_PREFIX, acme.account_id)}/statements"
    so_far = await admin.get(f"{path}/{MONTH}", headers=bearer(operator))
    await platform.months.close(MONTH, platform.cause)

    listed = await admin.get(path, headers=bearer(operator))
    read = await admin.get(f"{path}/{MONTH}", headers=bearer(operator))
    own = await api.get(f"/v1/statements/{MONTH}", headers=bearer(acme.live))

    assert so_far.json()["closed"] is False
    assert listed.json()["items"] == [{"month": "2026-12", "closed": False}, {"month": MONTH}]
    assert read.content == own.content


async def test_statement_of_an_account_that_has_none_is_refused(
    platform: Any, admin: Any, operator: str, bearer: Bearer
) -> None:
    await platform.months.close(MONTH, platform.cause)
    late = await platform.open_tenant("Late")
    path = f"/admin/v1/accounts/{format_id(ACCOUNT_PREFIX, late.account_id)}/statements/{MONTH}"

    answer = await admin.get(path, headers=bearer(operator))

    assert (answer.status_code, answer.json()["code"]) == (404, "statement_not_found")
