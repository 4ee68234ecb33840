import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.chaos.customers import PRICE_MICROS, Client, Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import until

from semalink.domain.calendar import month_of

RECIPIENTS = 200
RATE = 50
#: Due within a second, and another one for a machine that does much else.
LATE_SECONDS_MAX = 2.0
WITHIN_SECONDS = 20.0


@pytest.fixture
async def reception(running: Any) -> AsyncIterator[Reception]:
    async with open_reception(Platform(running.process, running.data_dir)) as reception:
        yield reception


async def ask(client: Client, method: str, path: str, body: Any = None) -> Any:
    reply = await client.ask(method, path, body)
    assert reply.status < 300, reply
    return reply.body


async def stands(client: Client, path: str, field: str, value: Any = None) -> Any:
    """Wait until a field of a campaign is so, or is there at all, and return the campaign."""

    async def look() -> Any:
        campaign = await ask(client, "GET", path)
        found = campaign[field]
        return campaign if (found == value if value else found is not None) else None

    what = f"{field} is {value or 'there'}"
    return await until(look, what, within_seconds=WITHIN_SECONDS)


async def count_entries(client: Client, campaign_id: str) -> dict[str, list[int]]:
    amounts: dict[str, list[int]] = {}
    cursor = ""
    while True:
        path = f"/v1/ledger/entries?campaign_id={campaign_id}&limit=100{cursor}"
        page = await ask(client, "GET", path)
        for entry in page["items"]:
            amounts.setdefault(entry["name"], []).append(entry["amount_micros"])
        if page["next_cursor"] is None:
            return amounts
        cursor = f"&cursor={page['next_cursor']}"


async def settled_entries(client: Client, campaign_id: str) -> Any:
    amounts = await count_entries(client, campaign_id)
    return amounts if "credit.released" in amounts else None


async def shown_so_far(client: Client, campaign_id: str) -> dict[str, tuple[int, int]]:
    """Return count and sum by kind that the statement of the running month has of a campaign."""
    statement = await ask(client, "GET", f"/v1/statements/{month_of(datetime.now(UTC))}")
    assert statement["closed"] is False
    return {
        line["kind"]: (line["count"], line["amount_micros"])
        for line in statement["campaigns"]
        if line["campaign_id"] == campaign_id
    }


async def results_of_all(client: Client, path: str, charged_count: int) -> Any:
    results = await ask(client, "GET", f"{path}/results")
    counts = results["counts"]
    is_all = counts["submitted"] == charged_count and not counts["waiting"]
    return results if is_all and results["settled_at"] else None


async def drafted(client: Client, send_at: datetime) -> Any:
    return await ask(
        client,
        "POST",
        "/v1/campaigns",
        {
            "name": "Offer",
            "sender": "SEMALINK",
            "text": "Karibu {name}",
            "recipients": [
                {"to": f"+254712{number:06d}", "variables": {"name": f"n{number}"}}
                for number in range(RECIPIENTS)
            ],
            "send_at": send_at.isoformat(),
            "rate_per_second": RATE,
        },
    )


async def test_campaign_starts_on_time_rests_goes_on_and_settles_when_it_is_cancelled(
    reception: Reception,
) -> None:
    customer = await reception.open(credit_micros=RECIPIENTS * PRICE_MICROS)
    client = customer.live
    send_at = datetime.now(UTC) + timedelta(seconds=3)
    created = await drafted(client, send_at)
    path = f"/v1/campaigns/{created['id']}"

    await ask(client, "POST", f"{path}/schedule")
    started = await stands(client, path, "started_at")
    await asyncio.sleep(1.0)
    await ask(client, "POST", f"{path}/pause")
    paused = await ask(client, "GET", path)
    await ask(client, "POST", f"{path}/resume")
    await ask(client, "POST", f"{path}/cancel")
    await stands(client, path, "settled_at")

    late = datetime.fromisoformat(started["started_at"]) - send_at
    amounts = await until(
        lambda: settled_entries(client, created["id"]),
        "the release is shown",
        within_seconds=WITHIN_SECONDS,
    )
    charged = sum(amounts["credit.charged"])
    results = await until(
        lambda: results_of_all(client, path, len(amounts["credit.charged"])),
        "the results are whole",
        within_seconds=WITHIN_SECONDS,
    )
    lines = (await ask(client, "GET", f"{path}/results.csv")).splitlines()
    statuses = Counter(line.split(",")[1] for line in lines[1:])
    assert timedelta() <= late <= timedelta(seconds=LATE_SECONDS_MAX)
    assert paused["state"] == "paused"
    assert amounts["credit.reserved"] == [RECIPIENTS * PRICE_MICROS]
    assert 0 < len(amounts["credit.charged"]) < RECIPIENTS
    assert amounts["credit.released"] == [RECIPIENTS * PRICE_MICROS - charged]
    assert await shown_so_far(client, created["id"]) == {
        "reserved": (1, RECIPIENTS * PRICE_MICROS),
        "charged": (len(amounts["credit.charged"]), charged),
        "released": (1, RECIPIENTS * PRICE_MICROS - charged),
    }
    assert (await client.balance())["reserved_micros"] == 0
    assert results["money"]["released_micros"] == RECIPIENTS * PRICE_MICROS - charged
    assert results["counts"]["cancelled"] == statuses["cancelled"] > 0
    assert results["counts"]["accepted"] == statuses.total() - statuses["not_sent"]
    assert len(lines) == RECIPIENTS + 1
