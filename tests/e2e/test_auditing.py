"""The questions of the guide for auditors, asked of a running platform."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.customers import PRICE_MICROS, Client, Reception, open_reception
from tests.chaos.platform import Platform

NUMBER = "+254711000001"
GOOD = {"to": NUMBER, "text": "Karibu", "sender": "SEMALINK"}


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    async with open_reception(Platform(running.process, running.data_dir)) as reception:
        yield reception


async def refuse_some(client: Client) -> list[tuple[str, str, dict[str, int]]]:
    """Ask for what is refused, in each way; return what an auditor must be told of it."""
    without_key = await client.ask("POST", "/v1/messages", GOOD)
    with_key = await client.ask("POST", "/v1/messages", GOOD, idempotency_key="once")
    again = await client.ask("POST", "/v1/messages", GOOD, idempotency_key="once")
    assert {one.status for one in (without_key, with_key, again)} == {402}
    not_theirs = await client.ask("POST", "/v1/messages", GOOD | {"sender": "NOT-MINE"})
    items = [GOOD, GOOD | {"to": "+999"}]
    batch = await client.ask("POST", "/v1/messages/batch", {"messages": items})
    assert batch.body["refused_count"] == len(items), batch
    return [
        ("refused.accept_message", "insufficient_credits", {}),
        ("refused.accept_message", "insufficient_credits", {}),
        ("refused.accept_message", not_theirs.body["code"], {}),
        ("refused.accept_batch", batch.body["items"][0]["refused"]["code"], {"part": 0}),
        ("refused.accept_batch", batch.body["items"][1]["refused"]["code"], {"part": 1}),
    ]


async def test_auditor_finds_every_refused_send_of_a_day_with_its_reason(
    reception: Reception, semalink: Any, data_dir: Path
) -> None:
    poor = await reception.open()
    expected = await refuse_some(poor.live)
    day = f"{datetime.now(UTC):%Y-%m-%d}"

    asked = ("--account", poor.account_id, "--refused", "--from", day, "--oldest-first")
    shown = semalink("history", *asked, "--json", data_dir=data_dir)

    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(row["name"], row["reason"], row["facts"]) for row in rows] == expected, shown.stderr
    assert {row["account_id"] for row in rows} == {poor.account_id}
    assert all(row["actor"].startswith("key:key_") and row["detail"] for row in rows)
    assert NUMBER.removeprefix("+") not in shown.stdout


async def test_auditor_sees_the_same_over_http_and_on_the_command_line(
    reception: Reception, semalink: Any, data_dir: Path
) -> None:
    customer = await reception.open(credit_micros=PRICE_MICROS)
    await customer.live.ask("POST", "/v1/messages", GOOD)
    names = ("account", "credit.topped_up")

    for name in names:
        query = f"account_id={customer.account_id}&name={name}&limit=200"
        page = await reception.ask_admin(f"/admin/v1/history?{query}")
        shown = semalink(
            "history", customer.account_id, "--name", name, "--json", data_dir=data_dir
        )

        rows = [json.loads(line) for line in shown.stdout.splitlines()]
        assert rows, shown.stderr
        assert rows == page["items"]


async def test_auditor_finds_who_changed_a_limit_from_what_to_what_and_why(
    reception: Reception, semalink: Any, data_dir: Path
) -> None:
    customer = await reception.open()
    limit = f"/admin/v1/accounts/{customer.account_id}/credit-limit"
    for limit_micros, reason in ((200_000_000, "trial"), (500_000_000, "contract 2026/117")):
        body = {"credit_limit_micros": limit_micros, "reason": reason}
        await reception.ask_admin(limit, "PUT", body)

    shown = semalink(
        "history", customer.account_id, "--name", "credit.limit_set", "--json", data_dir=data_dir
    )

    row = json.loads(shown.stdout.splitlines()[0])
    assert row["actor"].startswith("operator:key_")
    assert row["reason"] == "contract 2026/117"
    assert row["before"] == {"credit_limit_micros": 200_000_000}
    assert row["facts"]["credit_limit_micros"] == 500_000_000
    assert datetime.now(UTC) >= datetime.fromisoformat(row["at"])
