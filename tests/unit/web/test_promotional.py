from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from semalink.application.sender_ids import ApproveSender, WithdrawSender
from semalink.domain.blocklist import Blocklist
from semalink.domain.message import Message
from semalink.domain.sender_id import SenderClass
from semalink.domain.sending_window import SendingWindows
from semalink.web.content import SendMessage

OFFER = {"to": "+254712345678", "text": "Sale today", "sender": "OFFERS"}
#: Eight in the morning in Nairobi, of the day after the tests begin.
MORNING = "2026-11-03T05:00:00Z"


@pytest.fixture(autouse=True)
async def offers(platform: Any, acme: Any) -> None:
    """Give the account a promotional sender id, and the platform its hours."""
    platform.rules = replace(
        platform.rules,
        windows=SendingWindows.from_mapping(
            {"default": {"zone": "Africa/Nairobi", "hours": "08:00-18:00"}}, ZoneInfo
        ),
        opt_out_text="STOP*456*9*5#",
        blocklist=Blocklist.from_mapping(
            {"rules": {"bets": {"words": ["bet"], "mode": "shadow"}, "pin": {"words": ["pin"]}}}
        ),
    )
    promotional = SenderClass.PROMOTIONAL
    await platform.ledger.execute(
        ApproveSender(acme.account_id, "OFFERS", platform.cause, promotional, "Letter.")
    )


def sent_texts(platform: Any) -> list[str]:
    return [stream[0].text for stream in platform.ledger.streams[Message].values()]


async def test_send_adds_the_opt_out_text_and_says_so(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    answer = await api.post("/v1/messages", json=OFFER, headers=bearer(acme.live))

    assert answer.status_code == 202
    assert answer.json()["altered"] == {
        "opt_out_text": "STOP*456*9*5#",
        "replaced": [],
        "saved_segments": 0,
        "saved_micros": 0,
        "outside_sending_window": False,
    }
    assert sent_texts(platform) == ["Sale today STOP*456*9*5#"]


async def test_send_says_nothing_of_a_text_that_stays_as_it_is(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    whole = {**OFFER, "text": "Sale today. Stop *456*9*5#"}

    for asked in (message, whole):
        answer = await api.post("/v1/messages", json=asked, headers=bearer(acme.live))
        assert "altered" not in answer.json()

    assert sent_texts(platform) == [message["text"], whole["text"]]


async def test_send_adds_the_account_s_own_opt_out_text(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    promotional = SenderClass.PROMOTIONAL
    await platform.ledger.execute(
        ApproveSender(acme.account_id, "MINE", platform.cause, promotional, "", "STOP to 40123")
    )

    await api.post("/v1/messages", json={**OFFER, "sender": "MINE"}, headers=bearer(acme.live))

    assert sent_texts(platform) == ["Sale today STOP to 40123"]


async def test_send_is_refused_outside_the_hours_and_says_when_it_may_be(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    platform.clock.pass_by(hours=12)
    headers = bearer(acme.live, idempotency_key="night")

    first = await api.post("/v1/messages", json=OFFER, headers=headers)
    again = await api.post("/v1/messages", json=OFFER, headers=headers)

    for answer in (first, again):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "outside_sending_window")
        assert problem["earliest_send_at"] == MORNING
        assert problem["errors"][0]["pointer"] == "/sender"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert platform.ledger.balance(acme.account_id).reserved_micros == 0
    assert sent_texts(platform) == []


async def test_batch_says_of_each_promotional_message_when_it_may_be_sent(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    platform.clock.pass_by(hours=12)
    asked = {"messages": [OFFER, message]}

    answer = await api.post("/v1/messages/batch", json=asked, headers=bearer(acme.live))

    refused, accepted = answer.json()["items"]
    assert refused["refused"]["code"] == "outside_sending_window"
    assert refused["refused"]["earliest_send_at"] == MORNING
    assert "message" in accepted


async def test_send_with_a_test_key_goes_out_at_any_hour_and_says_so(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    platform.clock.pass_by(hours=12)

    answer = await api.post("/v1/messages", json=OFFER, headers=bearer(acme.test))

    assert answer.status_code == 202
    assert answer.json()["altered"]["outside_sending_window"] is True


async def test_quote_says_when_a_promotional_message_may_be_sent(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    platform.clock.pass_by(hours=12)

    answer = await api.post("/v1/quote", json=OFFER, headers=bearer(acme.live))

    quoted = answer.json()
    assert (quoted["sender_class"], quoted["earliest_send_at"]) == ("promotional", MORNING)
    assert quoted["opt_out_text"] == "STOP*456*9*5#"
    assert quoted["text_sent"] == "Sale today STOP*456*9*5#"


async def test_quote_always_says_what_replacing_lookalikes_would_save(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {**message, "text": "\u201cKaribu\u201d" + "a" * 70}

    answer = await api.post("/v1/quote", json=asked, headers=bearer(acme.live))

    quoted = answer.json()
    assert (quoted["segments"], quoted["encoding"]) == (2, "UCS-2")
    assert [one["character"] for one in quoted["forcing_characters"]] == ["\u201c", "\u201d"]
    assert quoted["lookalikes"] == {
        "replaced": [
            {"character": "\u201c", "replacement": '"', "positions": [0]},
            {"character": "\u201d", "replacement": '"', "positions": [7]},
        ],
        "text": '"Karibu"' + "a" * 70,
        "segments": 1,
        "saved_segments": 1,
        "saved_micros": 800_000,
    }


async def test_send_replaces_lookalikes_when_that_is_asked_for(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {**message, "text": "\u201cKaribu\u201d" + "a" * 70, "replace_lookalikes": True}

    answer = await api.post("/v1/messages", json=asked, headers=bearer(acme.live))

    altered = answer.json()["altered"]
    assert (answer.json()["segments"], altered["saved_micros"]) == (1, 800_000)
    assert [one["replacement"] for one in altered["replaced"]] == ['"', '"']
    assert sent_texts(platform) == ['"Karibu"' + "a" * 70]


def test_request_without_replacing_is_recognised_as_before_it_was_known() -> None:
    asked = SendMessage(to="+254712345678", text="Karibu", sender="ACME")

    assert set(msgspec.json.decode(msgspec.json.encode(asked))) == {
        "to", "text", "sender", "lane", "ttl_seconds", "metadata",
    }  # fmt: skip


async def test_send_notes_what_rules_found(
    api: Any, platform: Any, acme: Any, bearer: Any, message: Any
) -> None:
    for text in ("a bet", "my pin", "neither"):
        await api.post("/v1/messages", json={**message, "text": text}, headers=bearer(acme.live))

    assert platform.found == [("bets", "shadow"), ("pin", "block")]
    assert sent_texts(platform) == ["a bet", "neither"]


async def test_events_of_a_message_do_not_tell_customers_of_shadow_rules(
    api: Any, acme: Any, bearer: Any, message: Any
) -> None:
    asked = {**message, "text": "a bet"}
    sent = await api.post("/v1/messages", json=asked, headers=bearer(acme.live))

    answer = await api.get(f"/v1/messages/{sent.json()['id']}/events", headers=bearer(acme.live))

    assert answer.json()["items"][0]["name"] == "message.accepted"
    assert "bets" not in answer.text


async def test_send_is_refused_under_a_sender_id_that_was_withdrawn(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    withdrawal = WithdrawSender(acme.account_id, "OFFERS", "Complaints.", platform.cause)
    await platform.ledger.execute(withdrawal)

    answer = await api.post("/v1/messages", json=OFFER, headers=bearer(acme.live))

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_sender")


@pytest.mark.parametrize(
    ("mode", "changes", "expires_at"),
    [
        # The hours end at six in the evening in Nairobi.
        ("live", {}, "2026-11-02T15:00:00Z"),
        ("live", {"ttl_seconds": 60}, "2026-11-02T08:16:04Z"),
        ("live", {"sender": "ACME"}, "2026-11-03T08:15:04Z"),
        ("test", {}, "2026-11-03T08:15:04Z"),
    ],
)
async def test_promotional_message_expires_when_the_hours_end(
    api: Any, acme: Any, bearer: Any, mode: str, changes: dict[str, Any], expires_at: str
) -> None:
    headers = bearer(getattr(acme, mode))

    answer = await api.post("/v1/messages", json={**OFFER, **changes}, headers=headers)

    assert answer.json()["expires_at"] == expires_at
