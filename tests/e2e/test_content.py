"""A sender id from the request to its use, and a content rule tried out before it blocks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from tests.chaos.waiting import until

WITHIN_SECONDS = 10.0


@dataclass(frozen=True)
class Desk:
    """An operator and a customer of the platform of the session."""

    session: aiohttp.ClientSession
    platform: dict[str, Any]

    async def ask(self, method: str, path: str, body: Any = None, key: str = "api_key") -> Any:
        side = "admin_url" if key == "admin_key" else "api_url"
        headers = {"Authorization": f"Bearer {self.platform[key]}"}
        url = self.platform[side] + path
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def decide(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.ask(method, f"/admin/v1{path}", body, "admin_key")
        assert status == 200, answer
        return answer


@pytest.fixture
async def desk(platform: dict[str, Any]) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession() as session:
        yield Desk(session, platform)


async def test_sender_id_is_asked_for_approved_and_sent_under(desk: Desk) -> None:
    wanted = {"sender": "E2EOFFERS", "uses": ["promotional"], "reason": "Offers."}
    offer = {"to": "+254711000777", "text": "Sale", "sender": "E2EOFFERS"}

    _, asked = await desk.ask("POST", "/v1/sender-ids", wanted)
    early, _ = await desk.ask("POST", "/v1/messages", offer, "test_api_key")
    letter = {"class": "promotional", "reason": "Letter on file."}
    approved = await desk.decide("POST", f"/sender-ids/{asked['id']}/approve", letter)

    async def accepted() -> Any:
        status, message = await desk.ask("POST", "/v1/messages", offer, "test_api_key")
        return message if status == 202 else None

    message = await until(accepted, "the key knows its sender id", within_seconds=WITHIN_SECONDS)
    _, quoted = await desk.ask("POST", "/v1/quote", offer)
    assert (early, approved["state"]) == (422, "approved")
    assert message["altered"]["opt_out_text"] == "STOP*456*9*5#"
    assert quoted["text_sent"] == "Sale STOP*456*9*5#"


async def test_content_rule_is_tried_out_and_then_blocks(desk: Desk) -> None:
    text = "the e2e lottery is open"
    rule = {"mode": "shadow", "phrases": ["e2e lottery"], "reason": "No lotteries.", "note": "Try."}
    message = {"to": "+254711000778", "text": text, "sender": "SEMALINK"}
    await desk.decide("PUT", "/content-rules/e2e_lottery", rule)

    async def found(mode: str) -> Any:
        await desk.ask("POST", "/v1/messages", message, "test_api_key")
        matches = await desk.decide("GET", f"/content-rules/e2e_lottery/matches?mode={mode}")
        return matches["items"] or None

    shadowed = await until(
        lambda: found("shadow"), "the rule is tried out", within_seconds=WITHIN_SECONDS
    )
    await desk.decide("PUT", "/content-rules/e2e_lottery", {**rule, "mode": "block"})
    blocked = await until(lambda: found("block"), "the rule blocks", within_seconds=WITHIN_SECONDS)
    status, refused = await desk.ask("POST", "/v1/messages", message, "test_api_key")

    assert shadowed[0]["message_id"].startswith("msg_")
    assert blocked[0]["refusal_id"].startswith("rfs_")
    assert (status, refused["code"]) == (422, "content_blocked")
    assert refused["detail"].endswith("No lotteries.")
