"""As an operator would: poison a queue, see the dead letter, mend the payload, republish it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.chaos.waiting import until

from semalink_ops.cli import exit_codes

#: The sandbox takes its messages and never reports on them.
NO_REPORT = "+254700000118"


@pytest.fixture
async def admin(platform: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {platform['admin_key']}"}
    async with httpx.AsyncClient(base_url=platform["admin_url"], headers=headers) as client:
        yield client


async def test_a_garbled_report_is_seen_mended_and_applied(
    platform: dict[str, Any], data_dir: Path, semalink: Callable[..., Any], admin: Any
) -> None:
    sent = semalink("send", "--to", NO_REPORT, "--text", "Habari", "--json", data_dir=data_dir)
    message_id = json.loads(sent.stdout)["id"]

    async def message() -> Any:
        return (await admin.get(f"/admin/v1/messages/{message_id}")).json()

    async def waiting() -> Any:
        found = await admin.get("/admin/v1/dead-letters", params={"state": "waiting"})
        return found.json()["items"]

    reference = await until(lambda: _reference(message), "submitted", within_seconds=10)
    poisoned = semalink("dlq", "poison", "dlr.inbound", data_dir=data_dir)
    [letter] = await until(waiting, "a dead letter", within_seconds=10)
    detail = (await admin.get(f"/admin/v1/dead-letters/{letter['id']}")).json()
    report = {
        "messageid": reference,
        "description": "DeliveredToTerminal",
        "timestamp": "2026-11-25 10:16:10",
    }
    mended = await admin.post(
        f"/admin/v1/dead-letters/{letter['id']}/republish",
        json={"report_body": json.dumps(report)},
    )

    async def delivered() -> bool:
        return bool((await message())["status"] == "delivered")

    await until(delivered, "delivered", within_seconds=10)
    shown = semalink("dlq", "show", letter["id"], "--json", data_dir=data_dir)
    assert poisoned.returncode == exit_codes.OK
    assert letter["error"] == "unreadable_report"
    assert detail["report"]["body"]["content"].startswith('{"messageID": "cut off')
    assert mended.status_code == 200
    actions = json.loads(shown.stdout)["actions"]
    assert [one["name"] for one in actions] == ["dead_letter.buried", "dead_letter.republished"]
    assert not await waiting()


async def _reference(message: Callable[[], Any]) -> str | None:
    route = (await message())["route"]
    return route and route["reference"]
