"""Following a campaign: only its own account may, and what is shown reads well."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.campaign_results import CampaignFacts, Outcome, ResultRow
from semalink.domain.draft import Draft
from semalink.domain.message import Message

CAMPAIGN = UUID(int=7)
PATH = f"/v1/campaigns/cmp_{CAMPAIGN.hex}"
START = datetime(2026, 11, 25, 9, tzinfo=UTC)
OUTCOMES = [
    Outcome(place, f"+2547000{place:05}", "left_out", "opted_out", None) for place in range(2_500)
]


@pytest.fixture
def campaign(platform: Any, acme: Any) -> CampaignFacts:
    facts = CampaignFacts(
        CAMPAIGN,
        "Offer",
        "sending",
        "live",
        START,
        message_count=2,
        left_out={"opted_out": 2_500},
        reserved_micros=1_600_000,
        started_at=START,
        completed_at=None,
        settled_at=None,
        results=[ResultRow("safaricom", "delivered", "", 1, 1, 1, 800_000, 800_000, 0)],
    )
    platform.campaign_results.hold(acme.account_id, facts, OUTCOMES)
    return facts


@pytest.mark.usefixtures("campaign")
async def test_results_are_of_the_campaign(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get(f"{PATH}/results", headers=bearer(acme.live))

    shown = answer.json()
    assert answer.status_code == 200
    assert shown["counts"]["delivered"] == shown["counts"]["accepted"] == 1
    assert shown["money"]["still_reserved_micros"] == 800_000
    assert shown["as_of"] == "2026-11-25T09:00:00Z"


@pytest.mark.parametrize("what", ["results", "messages", "results.csv"])
@pytest.mark.usefixtures("campaign")
async def test_campaign_is_refused_without_a_key_and_hidden_from_others(
    api: Any, acme: Any, other: Any, bearer: Any, what: str
) -> None:
    nobody = await api.get(f"{PATH}/{what}")
    stranger = await api.get(f"{PATH}/{what}", headers=bearer(other.live))
    tester = await api.get(f"{PATH}/{what}", headers=bearer(acme.test))

    assert nobody.status_code == 401
    assert stranger.status_code == tester.status_code == 404
    assert stranger.json()["code"] == tester.json()["code"] == "campaign_not_found"


async def test_campaign_of_no_id_is_not_found(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get("/v1/campaigns/november/results", headers=bearer(acme.live))

    assert answer.json()["code"] == "campaign_not_found"


@pytest.mark.usefixtures("campaign")
async def test_results_refuse_a_width_that_is_none(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get(f"{PATH}/results?bucket=7m", headers=bearer(acme.live))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/bucket"


@pytest.mark.usefixtures("campaign")
async def test_file_has_every_recipient_once(api: Any, acme: Any, bearer: Any) -> None:
    answer = await api.get(f"{PATH}/results.csv", headers=bearer(acme.live))

    lines = answer.text.split("\r\n")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="cmp_{CAMPAIGN.hex}.csv"'
    assert "content-length" not in answer.headers
    assert lines[0].startswith("recipient,status,failure_code,failure,")
    assert [line.split(",")[0] for line in lines[1:-1]] == [one.number for one in OUTCOMES]


async def test_file_is_refused_when_recipients_are_no_longer_kept(
    api: Any, platform: Any, acme: Any, campaign: CampaignFacts, bearer: Any
) -> None:
    settled = replace(campaign, settled_at=platform.clock.now - timedelta(days=90))
    platform.campaign_results.hold(acme.account_id, settled, OUTCOMES)

    file = await api.get(f"{PATH}/results.csv", headers=bearer(acme.live))
    results = await api.get(f"{PATH}/results", headers=bearer(acme.live))

    assert (file.status_code, file.json()["code"]) == (410, "recipients_no_longer_kept")
    assert results.status_code == 200


@pytest.mark.usefixtures("campaign")
async def test_results_are_away_with_the_database(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    platform.campaign_results.is_available = False

    answer = await api.get(f"{PATH}/results.csv", headers=bearer(acme.live))

    assert answer.status_code == 503


def _message(platform: Any, account_id: UUID, campaign_id: UUID | None) -> Message:
    draft = Draft(
        account_id, account_id, "live", "+254712345678", "KE", None, "Hi", "ACME", "normal",
        "GSM-7", 1, 800_000, START, {}, campaign_id=campaign_id,
    )  # fmt: skip
    return Message.accept(platform.new_id(platform.clock.now), draft, platform.cause)


@pytest.mark.usefixtures("campaign")
async def test_messages_of_a_campaign_are_listed_in_pages(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    made = [_message(platform, acme.account_id, one) for one in (CAMPAIGN, None, CAMPAIGN)]
    platform.ledger.streams[Message] |= {one.id: one.collect_events() for one in made}

    first = await api.get(f"{PATH}/messages?limit=1", headers=bearer(acme.live))
    second = await api.get(first.links["next"]["url"], headers=bearer(acme.live))
    filtered = await api.get(
        f"/v1/messages?campaign_id=cmp_{CAMPAIGN.hex}", headers=bearer(acme.live)
    )
    others = await api.get(f"{PATH}/messages?status=delivered", headers=bearer(acme.live))

    ids = [first.json()["items"][0]["id"], second.json()["items"][0]["id"]]
    assert ids == [f"msg_{made[2].id.hex}", f"msg_{made[0].id.hex}"]
    assert second.json()["next_cursor"] is None
    assert [one["id"] for one in filtered.json()["items"]] == ids
    assert others.json()["items"] == []
