import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.contract.delivery_worlds import World, cause, postgres_world

from semalink.application.accounts import OpenAccount
from semalink.domain.account import Kind, Tier
from semalink_ops.cli import exit_codes, run

NOWHERE = "nats://127.0.0.1:9"

Semalink = Callable[..., tuple[int, Any]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status and its JSON, or else what it printed."""

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = run(["webhooks", *arguments])
        shown = capsys.readouterr()
        is_json = "--json" in arguments and status == exit_codes.OK
        return status, json.loads(shown.out) if is_json else shown.out + shown.err

    return call


@pytest.fixture
def failed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The ids of a delivery that failed, its endpoint and its account."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", NOWHERE)
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")

    async def fail() -> dict[str, str]:
        async with postgres_world(database_url) as world:
            return await _failed(world)

    return asyncio.run(fail())


async def _failed(world: World) -> dict[str, str]:
    await world.ledger.execute(
        OpenAccount(world.account_id, "Acme", Kind.DIRECT, Tier.STARTER, cause())
    )
    delivery_id = await world.failed()
    return {
        "account": f"acct_{world.account_id.hex}",
        "delivery": f"whk_{delivery_id.hex}",
        "endpoint": f"whe_{world.endpoint_id.hex}",
    }


def test_deliveries_are_listed_and_shown_with_their_attempts(
    semalink: Semalink, failed: dict[str, str]
) -> None:
    listed = semalink("deliveries", "--state", "failed", "--endpoint", failed["endpoint"], "--json")
    shown = semalink("show", failed["delivery"], "--json")
    table = semalink("show", failed["delivery"])

    assert [one["id"] for one in listed[1]["items"]] == [failed["delivery"]]
    assert [one["status"] for one in shown[1]["attempts"]] == [503]
    assert "exhausted" in table[1]


def test_endpoints_are_listed(semalink: Semalink, failed: dict[str, str]) -> None:
    of_one = semalink("endpoints", "--account", failed["account"], "--json")
    of_all = semalink("endpoints", "--json")

    assert [one["id"] for one in of_one[1]["items"]] == [failed["endpoint"]]
    assert of_all == of_one


def test_resend_opens_a_delivery_once(semalink: Semalink, failed: dict[str, str]) -> None:
    first, opened = semalink("resend", failed["delivery"], "--json")
    second, said = semalink("resend", failed["delivery"])

    assert (first, opened["state"], opened["trigger"]) == (exit_codes.OK, "waiting", "manual")
    assert second == exit_codes.FAILED
    assert "under way" in said


def test_delivery_that_is_none_ends_with_3_and_an_id_that_is_none_with_2(
    semalink: Semalink, failed: dict[str, str]
) -> None:
    missing, _ = semalink("show", f"whk_{'0' * 32}")
    wrong, said = semalink("show", failed["endpoint"])

    assert (missing, wrong) == (exit_codes.NOT_FOUND, exit_codes.USAGE)
    assert "whk_" in said


def test_recover_starts_a_recovery_that_is_listed(
    semalink: Semalink, failed: dict[str, str]
) -> None:
    asked = (failed["account"], failed["endpoint"], "--hours", "2", "--rate", "5")

    status, started = semalink("recover", *asked, "--json")

    _, found = semalink("recoveries", failed["endpoint"], "--json")
    [recovery] = started["items"]
    assert status == exit_codes.OK
    assert (recovery["state"], recovery["rate_per_second"]) == ("running", 5)
    assert found["items"] == started["items"]


def test_recoveries_are_none_before_one_is_started(
    semalink: Semalink, failed: dict[str, str]
) -> None:
    status, found = semalink("recoveries", failed["endpoint"], "--json")

    assert (status, found["items"]) == (exit_codes.OK, [])
