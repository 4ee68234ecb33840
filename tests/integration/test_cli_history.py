import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from semalink.application.webhook_recovery import SendTest
from semalink.application.webhooks import RegisterEndpoint
from semalink.domain.cause import Cause
from semalink.domain.webhook_endpoint import EndpointTerms
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.cli import exit_codes, run

PEPPER = "a-pepper-of-at-least-thirty-two-characters"
#: Nobody listens there: what needs no broker must not wait for one.
NOWHERE = "nats://127.0.0.1:9"

Semalink = Callable[..., tuple[int, str, str]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status, what it printed and what it said."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a platform whose database is fresh and whose broker is away."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", NOWHERE)
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", PEPPER)


@pytest.fixture
def account_id(semalink: Semalink) -> str:
    """An account with one payment."""
    _, out, _ = semalink("account", "create", "Acme", "--json")
    account_id = str(json.loads(out)["id"])
    semalink("account", "top-up", account_id, "12.50", "--reference", "INV-1", "--json")
    return account_id


def lines(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_history_of_an_account_is_printed_a_line_for_each_row(
    semalink: Semalink, account_id: str
) -> None:
    status, out, _ = semalink("history", account_id, "--oldest-first", "--json")

    assert status == exit_codes.OK
    assert [row["name"] for row in lines(out)] == [
        "account.created", "credit.created", "credit.topped_up",
    ]  # fmt: skip
    assert {row["account_id"] for row in lines(out)} == {account_id}


def test_history_says_that_there_is_more_than_its_limit(
    semalink: Semalink, account_id: str
) -> None:
    _, out, said = semalink("history", "--account", account_id, "--limit", "1", "--json")

    assert [row["name"] for row in lines(out)] == ["credit.topped_up"]
    assert "--limit" in said


def test_history_of_tomorrow_is_empty(semalink: Semalink, account_id: str) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"

    status, out, _ = semalink("history", account_id, "--from", tomorrow, "--json")

    assert (status, out) == (exit_codes.OK, "")


def test_history_shows_columns_to_a_program_without_json(
    semalink: Semalink, account_id: str
) -> None:
    _, out, _ = semalink("history", account_id, "--name", "credit.topped_up")

    heading, row = out.splitlines()
    assert heading.split("\t")[:3] == ["at", "name", "actor"]
    assert "payment_reference=INV-1" in row


def test_history_shows_a_person_who_and_why(
    semalink: Semalink, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    _, out, _ = semalink("history", account_id, "--name", "credit.topped_up")

    assert "credit.topped_up" in out
    assert "  by cli:" in out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["msg_1"], "32 hexadecimal digits"),
        (["--reservation", "nothing"], "32 hexadecimal digits"),
        (["--from", "yesterday"], "2026-11-24"),
        (["--refused", "--name", "credit"], "begins with refused"),
        (["--reservation", f"msg_{'0' * 32}", "--campaign", f"cmp_{'1' * 32}"], "at once"),
    ],
)
def test_history_says_how_to_mend_what_was_asked(
    semalink: Semalink, arguments: list[str], hint: str
) -> None:
    status, _, said = semalink("history", *arguments)

    assert status == exit_codes.USAGE
    assert hint in said


def test_history_ends_with_3_when_there_is_no_account(semalink: Semalink) -> None:
    status, _, _ = semalink("history", f"acct_{'0' * 32}")

    assert status == exit_codes.NOT_FOUND


def test_history_of_an_endpoint_and_of_a_delivery_is_found_by_their_ids(
    semalink: Semalink, database_url: str
) -> None:
    endpoint_id, delivery_id, account_id = uuid7(), uuid7(), uuid7()
    cause = Cause("key:1", datetime.now(UTC), "req_1")
    terms = EndpointTerms("https://shop.example.com", ("*",))

    async def make() -> None:
        async with GroupCommit(database_url) as ledger:
            await ledger.execute(RegisterEndpoint(endpoint_id, account_id, terms, (), 0, cause))
            await ledger.execute(SendTest(delivery_id, endpoint_id, account_id, cause))

    asyncio.run(make())
    _, of_endpoint, _ = semalink("history", f"whe_{endpoint_id.hex}", "--json")
    _, of_delivery, _ = semalink("history", f"whk_{delivery_id.hex}", "--json")

    assert [row["name"] for row in lines(of_endpoint)] == ["webhook_endpoint.created"]
    assert [row["name"] for row in lines(of_delivery)] == ["webhook_delivery.created"]


def test_history_of_an_endpoint_is_refused_with_half_an_id(semalink: Semalink) -> None:
    status, _, err = semalink("history", "whe_12")

    assert status == exit_codes.USAGE
    assert "whe_" in err
