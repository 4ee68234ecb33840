from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount
from semalink.application.route_book import HourTally, RouteTally, second_of
from semalink.application.routes import OverrideSenderRoute, TripRoute
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.route import Route, route_id
from semalink.domain.route_health import EVERY_NETWORK, Diagnosis, Figures, Tally, TripCause

NOWHERE = f"/admin/v1/accounts/acct_{'0' * 32}"
DISABLE = {"mode": "disable", "reason": "maintenance"}
DETOUR = {"route": "africastalking", "reason": "complaints"}
GIVE = {"route": "celcom-acme", "reason": "contract"}
OUTAGE = Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(40, 12, 12))


@pytest.fixture
def operator(admin_key: str, bearer: Any) -> Any:
    return bearer(admin_key)


@pytest.fixture
def of_acme(acme: Any) -> str:
    return f"/admin/v1/accounts/acct_{acme.account_id.hex}"


@pytest.fixture
async def of_bank(platform: Any) -> str:
    account_id = UUID(int=0xBA)
    opening = OpenAccount(account_id, "Benki", Kind.DIRECT, Tier.ENTERPRISE, platform.cause)
    await platform.ledger.execute(opening)
    return f"/admin/v1/accounts/acct_{account_id.hex}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/v1/routes"),
        ("GET", "/admin/v1/route-overrides"),
        ("POST", "/admin/v1/routes/celcom/override"),
        ("PUT", f"{NOWHERE}/route-override"),
        ("PUT", f"{NOWHERE}/dedicated-route"),
        ("PUT", "/admin/v1/senders/ACME/route-override"),
    ],
)
async def test_routes_are_not_shown_without_key(admin: Any, method: str, path: str) -> None:
    answer = await admin.request(method, path)

    assert answer.status_code == 401


async def test_routes_of_what_is_unknown_are_not_found(admin: Any, operator: Any) -> None:
    answers = [
        await admin.post("/admin/v1/routes/pigeon/override", json=DISABLE, headers=operator),
        await admin.put(f"{NOWHERE}/route-override", json=DETOUR, headers=operator),
        await admin.put(f"{NOWHERE}/dedicated-route", json=GIVE, headers=operator),
        await admin.put("/admin/v1/senders/@/route-override", json=DETOUR, headers=operator),
    ]

    assert [answer.status_code for answer in answers] == [404] * len(answers)


async def test_list_routes_shows_health_now_and_the_last_day(
    admin: Any, operator: Any, platform: Any
) -> None:
    now = platform.clock.now
    hour = now.replace(minute=0, second=0, microsecond=0)
    await platform.route_book.add(
        [RouteTally("celcom", Tally(second_of(now) - 5, "safaricom", 40, 12))],
        [
            HourTally("celcom", hour, 1, 60, 0),
            HourTally("celcom", hour, 5, 40, 12),
            HourTally("celcom", hour - timedelta(hours=25), 5, 40, 12),
            HourTally("africastalking", hour, 12, 10, 0),
        ],
    )
    await platform.ledger.execute(TripRoute("celcom", OUTAGE, platform.cause))

    answer = await admin.get("/admin/v1/routes", headers=operator)

    celcom, africastalking, own = answer.json()["items"]
    assert (celcom["name"], celcom["state"], celcom["override"]) == ("celcom", "open", None)
    assert [(out["network"], out["cause"]) for out in celcom["out_of_use"]] == [("all", "outage")]
    assert celcom["last_minute"] == {
        "attempts": 40,
        "errors": 12,
        "error_permille": 300,
        "failures_in_a_row": 0,
    }
    day = celcom["last_day"]
    assert (day["trips"], day["probes"], day["attempts"], day["errors"]) == (1, 0, 100, 12)
    assert (day["p50_ms"], day["p95_ms"]) == (100, 750)
    assert [(each["attempts"], each["error_permille"]) for each in day["hours"]] == [(100, 120)]
    assert (africastalking["state"], africastalking["last_day"]["p50_ms"]) == ("closed", None)
    assert (own["name"], own["dedicated"]) == ("celcom-acme", True)


async def test_override_of_a_route_is_obeyed_and_shown_until_it_ends(
    admin: Any, operator: Any, platform: Any
) -> None:
    ends_at = platform.clock.now + timedelta(hours=1)
    asked = {**DISABLE, "expires_at": ends_at.isoformat()}
    answer = await admin.post("/admin/v1/routes/celcom/override", json=asked, headers=operator)
    shown = (await admin.get("/admin/v1/routes", headers=operator)).json()["items"][0]["override"]
    listed = (await admin.get("/admin/v1/route-overrides", headers=operator)).json()["items"]
    platform.clock.now = ends_at
    later = (await admin.get("/admin/v1/routes", headers=operator)).json()["items"][0]["override"]

    assert answer.status_code == 200
    assert (shown["mode"], shown["reason"]) == ("disable", "maintenance")
    assert listed == [shown]
    assert later is None
    [_, overridden] = platform.ledger.events_of(route_id("celcom"))
    assert isinstance(overridden, Route.Overridden)
    assert overridden.actor.startswith("operator:")


async def test_override_that_ends_before_it_begins_is_refused(
    admin: Any, operator: Any, platform: Any
) -> None:
    asked = {**DISABLE, "expires_at": platform.clock.now.isoformat()}

    answer = await admin.post("/admin/v1/routes/celcom/override", json=asked, headers=operator)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/expires_at"
    assert platform.ledger.events_of(route_id("celcom")) == []


async def test_overrides_of_accounts_and_senders_are_kept(
    admin: Any, operator: Any, platform: Any, acme: Any, of_acme: str
) -> None:
    await admin.put(f"{of_acme}/route-override", json=DETOUR, headers=operator)
    await admin.put("/admin/v1/senders/ACME/route-override", json=DETOUR, headers=operator)
    await platform.ledger.execute(
        OverrideSenderRoute("OTHER", None, "nothing", None, platform.cause)
    )

    listed = (await admin.get("/admin/v1/route-overrides", headers=operator)).json()["items"]

    assert [(each["scope"], each["subject"], each["route"]) for each in listed] == [
        ("account", acme.account_id.hex, "africastalking"),
        ("sender", "ACME", "africastalking"),
    ]


@pytest.mark.parametrize(
    "path", ["{of_acme}/route-override", "/admin/v1/senders/ACME/route-override"]
)
@pytest.mark.parametrize("route", ["pigeon", "celcom-acme"])
async def test_override_to_a_route_that_is_not_for_all_is_refused(
    admin: Any, operator: Any, of_acme: str, path: str, route: str
) -> None:
    asked = {"route": route, "reason": "faster"}

    answer = await admin.put(path.format(of_acme=of_acme), json=asked, headers=operator)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/route"


async def test_override_that_prefers_a_dedicated_route_is_refused(
    admin: Any, operator: Any
) -> None:
    asked = {"mode": "prefer", "reason": "faster"}

    answer = await admin.post("/admin/v1/routes/celcom-acme/override", json=asked, headers=operator)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/mode"


async def test_dedicated_route_is_given_to_an_enterprise_account_alone(
    admin: Any, operator: Any, platform: Any, of_acme: str, of_bank: str
) -> None:
    given = await admin.put(f"{of_bank}/dedicated-route", json=GIVE, headers=operator)
    refused = await admin.put(f"{of_acme}/dedicated-route", json=GIVE, headers=operator)
    shared = {"route": "celcom", "reason": "not a dedicated one"}
    not_its_own = await admin.put(f"{of_bank}/dedicated-route", json=shared, headers=operator)

    assert given.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (409, "not_enterprise")
    assert not_its_own.status_code == 422
    bank = platform.ledger.load(Account, UUID(int=0xBA))
    assert bank.dedicated_route == "celcom-acme"
