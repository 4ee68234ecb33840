import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from semalink_ops.cli import exit_codes, run

PEPPER = "a-pepper-of-at-least-thirty-two-characters"
#: Nobody listens there: what needs no broker must not wait for one.
NOWHERE = "nats://127.0.0.1:9"

Semalink = Callable[..., tuple[int, Any]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status and its JSON, or else what it said."""

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, json.loads(shown.out) if shown.out else shown.err

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a platform whose database is fresh and whose broker is away."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", NOWHERE)
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", PEPPER)


@pytest.fixture
def account_id(semalink: Semalink) -> str:
    """An account that was just opened."""
    _, opened = semalink("account", "create", "Acme", "--tier", "growth", "--json")
    return str(opened["id"])


def test_account_create_opens_an_account_without_credits(
    semalink: Semalink, account_id: str
) -> None:
    status, shown = semalink("account", "show", account_id, "--json")

    assert status == exit_codes.OK
    assert (shown["account"]["name"], shown["account"]["tier"]) == ("Acme", "growth")
    assert shown["balance"]["available_micros"] == 0


def test_account_show_ends_with_3_when_there_is_none(semalink: Semalink) -> None:
    status, said = semalink("account", "show", "acct_nothing")

    assert status == exit_codes.NOT_FOUND
    assert "semalink account list" in said


def test_account_list_goes_on_after_the_last_one(semalink: Semalink, account_id: str) -> None:
    _, second = semalink("account", "create", "Beta", "--json")

    _, page = semalink("account", "list", "--limit", "1", "--json")
    _, rest = semalink("account", "list", "--after", page["next_cursor"], "--json")

    assert [one["id"] for one in page["items"]] == [account_id]
    assert [one["id"] for one in rest["items"]] == [second["id"]]
    assert rest["next_cursor"] is None


def test_top_up_credits_a_payment_once(semalink: Semalink, account_id: str) -> None:
    top_up = ("account", "top-up", account_id, "12.50", "--reference", "INV-1", "--json")

    _, first = semalink(*top_up)
    status, second = semalink(*top_up)

    assert status == exit_codes.OK
    assert first == {
        "account_id": account_id,
        "amount_micros": 12_500_000,
        "payment_reference": "INV-1",
        "posted_micros": 12_500_000,
        "available_micros": 12_500_000,
        "replayed": False,
    }
    assert second == first | {"replayed": True}


def test_top_up_ends_with_5_when_the_reference_was_used_for_another(
    semalink: Semalink, account_id: str
) -> None:
    semalink("account", "top-up", account_id, "1", "--reference", "INV-1", "--json")

    status, _ = semalink("account", "top-up", account_id, "2", "--reference", "INV-1", "--json")

    assert status == exit_codes.CONFLICT


def test_ledger_records_who_was_at_the_terminal(
    semalink: Semalink, account_id: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "wanjiku")

    semalink("account", "top-up", account_id, "1", "--reference", "INV-1", "--json")

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT convert_from(state, 'UTF8') FROM ledger_entries")
        states = [state for (state,) in rows.fetchall()]
    name = pwd.getpwuid(os.getuid()).pw_name
    assert any(f'"cli:{name}"' in state for state in states)
    assert not any("wanjiku" in state for state in states)


def test_key_create_shows_the_key_once(semalink: Semalink, account_id: str) -> None:
    _, made = semalink("key", "create", account_id, "--name", "shop", "--json")

    _, listed = semalink("key", "list", account_id, "--json")

    assert made["key"].startswith("sl_live_")
    assert made["scopes"] == [
        "balance:read",
        "campaigns:read",
        "campaigns:write",
        "contacts:read",
        "contacts:write",
        "customers:read",
        "customers:write",
        "ledger:read",
        "messages:read",
        "messages:send",
        "opt_outs:read",
        "opt_outs:write",
        "webhooks:read",
        "webhooks:write",
    ]
    (shown,) = listed["items"]
    assert (shown["id"], shown["last_four"]) == (made["id"], made["key"][-4:])
    assert made["key"] not in json.dumps(listed)


def test_key_create_grants_only_the_scopes_that_are_named(
    semalink: Semalink, account_id: str
) -> None:
    scope = ("--scope", "messages:read")

    _, made = semalink(
        "key", "create", account_id, "--name", "r", "--mode", "test", *scope, "--json"
    )

    assert made["key"].startswith("sl_test_")
    assert made["scopes"] == ["messages:read"]


def test_key_create_refuses_an_operators_key_of_a_customer(
    semalink: Semalink, account_id: str
) -> None:
    status, said = semalink("key", "create", account_id, "--name", "x", "--mode", "operator")

    assert status == exit_codes.USAGE
    assert "--kind platform" in said
    assert semalink("key", "list", account_id, "--json")[1]["items"] == []


def test_key_create_refuses_a_role_on_a_customers_key(semalink: Semalink, account_id: str) -> None:
    status, _ = semalink("key", "create", account_id, "--name", "x", "--scope", "admin")

    assert status == exit_codes.USAGE


def test_key_create_makes_an_operators_key_of_the_platform(semalink: Semalink) -> None:
    _, platform = semalink("account", "create", "Us", "--kind", "platform", "--json")

    _, made = semalink(
        "key", "create", platform["id"], "--name", "ann", "--mode", "operator", "--json"
    )

    assert made["key"].startswith("sl_admin_")
    assert made["scopes"] == ["admin"]


def test_key_revoke_stops_a_key_once(semalink: Semalink, account_id: str) -> None:
    _, made = semalink("key", "create", account_id, "--name", "shop", "--json")

    first, _ = semalink("key", "revoke", account_id, made["id"])
    second, _ = semalink("key", "revoke", account_id, made["id"])

    assert (first, second) == (exit_codes.OK, exit_codes.NOT_FOUND)
    assert semalink("key", "list", account_id, "--json")[1]["items"][0]["revoked_at"] is not None


def test_history_ends_with_3_when_there_is_no_message(semalink: Semalink) -> None:
    status, _ = semalink("history", f"msg_{'0' * 32}")

    assert status == exit_codes.NOT_FOUND


def test_command_ends_with_7_when_the_database_is_away(
    semalink: Semalink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMALINK_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")

    status, _ = semalink("account", "list")

    assert status == exit_codes.UNAVAILABLE


def test_migrate_ends_with_7_when_the_database_is_away(
    semalink: Semalink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMALINK_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")

    status, said = semalink("migrate")

    assert status == exit_codes.UNAVAILABLE
    assert "sqlalche.me" not in said


def test_migrate_makes_an_empty_database_current(
    semalink: Semalink, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMALINK_DATABASE_URL", empty_database_url)

    before, _ = semalink("migrate", "--check", "--json")
    after, shown = semalink("migrate", "--json")

    assert (before, after) == (exit_codes.DIFFERENCES, exit_codes.OK)
    assert shown["revision"] == shown["newest"]


@pytest.fixture
def agent_id(semalink: Semalink) -> str:
    """An agent with 100 credits."""
    _, opened = semalink("account", "create", "Agent", "--kind", "agent", "--json")
    semalink("account", "top-up", opened["id"], "100", "--reference", "INV-A", "--json")
    return str(opened["id"])


def test_account_create_opens_a_customer_that_its_agent_pays_for(
    semalink: Semalink, agent_id: str
) -> None:
    _, paid = semalink("account", "create", "Duka", "--agent", agent_id, "--json")
    _, own = semalink("account", "create", "Own", "--agent", agent_id, "--pays-itself", "--json")

    status, capped = semalink("account", "cap", paid["id"], "5", "--json")
    refused, said = semalink("account", "cap", own["id"], "5")

    assert (paid["kind"], paid["billing_account_id"]) == ("customer", agent_id)
    assert own["billing_account_id"] == own["id"]
    assert (status, capped["spending_cap_micros"]) == (exit_codes.OK, 5_000_000)
    assert (
        semalink("account", "cap", paid["id"], "none", "--json")[1]["spending_cap_micros"] is None
    )
    assert refused != exit_codes.OK
    assert "pays for itself" in said


def test_account_prices_are_set_from_a_file(
    semalink: Semalink, agent_id: str, tmp_path: Path
) -> None:
    toml, bad = tmp_path / "prices.toml", tmp_path / "bad.json"
    toml.write_text('KE = "0.95"\n"KE/safaricom" = "0.10"\n')
    bad.write_text('{"kenya": "1"}')

    status, priced = semalink("account", "prices", agent_id, str(toml), "--json")
    refused, said = semalink("account", "prices", agent_id, str(bad))

    assert status == exit_codes.OK
    assert priced["segment_micros"] == {"KE": 950_000, "KE/safaricom": 100_000}
    assert refused == exit_codes.USAGE
    assert "no destination" in said
    assert semalink("account", "prices", agent_id, "--json")[1] == priced


def test_account_limit_is_an_entry_and_balances_are_told_around_it(
    semalink: Semalink, agent_id: str
) -> None:
    _, limit = semalink("account", "limit", agent_id, "50", "--reason", "contract", "--json")
    _, listed = semalink("ledger", "entries", agent_id, "--name", "limit_set", "--json")
    [entry] = listed["items"]

    _, before = semalink("ledger", "balance", agent_id, "--after-entry", "2", "--json")
    _, at = semalink("ledger", "balance", agent_id, "--at", entry["recorded_at"], "--json")
    missing, _ = semalink("ledger", "balance", agent_id, "--after-entry", "9")
    both, _ = semalink("ledger", "balance", agent_id, "--after-entry", "9", "--at", "2026-11-02")

    assert (limit["entry"], limit["available_micros"]) == (3, 150_000_000)
    assert entry["data"]["reason"] == "contract"
    assert (before["available_micros"], at["available_micros"]) == (100_000_000, 150_000_000)
    assert (missing, both) == (exit_codes.NOT_FOUND, exit_codes.USAGE)


def test_account_transfer_and_refund_rule_change_what_they_name(
    semalink: Semalink, agent_id: str
) -> None:
    _, own = semalink("account", "create", "Own", "--agent", agent_id, "--pays-itself", "--json")

    _, moved = semalink("account", "transfer", agent_id, own["id"], "4", "--reason", "r", "--json")
    _, ruled = semalink("account", "refund-rule", own["id"], "failed", "--json")
    _, unruled = semalink("account", "refund-rule", own["id"], "platform", "--json")

    assert moved["transfer_id"].startswith("trf_")
    assert semalink("ledger", "balance", own["id"], "--json")[1]["posted_micros"] == 4_000_000
    assert (ruled["refunded_on"], unruled["refunded_on"]) == (["failed"], None)
    assert semalink("account", "refund-rule", own["id"], "none", "failed")[0] == exit_codes.USAGE


def test_account_adjust_is_not_approved_by_who_proposed_it(
    semalink: Semalink, agent_id: str
) -> None:
    asked = ("--category", "goodwill", "--reason", "outage", "--json", "--", "-2.5")
    _, proposed = semalink("account", "adjust", "propose", agent_id, *asked)

    refused, said = semalink("account", "adjust", "approve", proposed["id"])
    _, waiting = semalink("account", "adjust", "list", "--state", "proposed", "--json")
    _, rejected = semalink(
        "account", "adjust", "reject", proposed["id"], "--reason", "no", "--json"
    )
    missing, _ = semalink("account", "adjust", "approve", "adj_nothing")

    assert (proposed["amount_micros"], proposed["state"]) == (-2_500_000, "proposed")
    assert refused != exit_codes.OK
    assert "another person" in said
    assert [one["id"] for one in waiting["items"]] == [proposed["id"]]
    assert rejected["state"] == "rejected"
    assert missing == exit_codes.NOT_FOUND
