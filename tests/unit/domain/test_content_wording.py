"""What the check does to a promotional text, and to one that may be made cheaper."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from semalink.domain.blocklist import Blocklist
from semalink.domain.content_check import Content, Rules, check, collect
from semalink.domain.content_errors import OutsideSendingWindow, earliest_in, rule_in
from semalink.domain.errors import ContentBlocked, TextTooLong
from semalink.domain.rate_card import RateCard
from semalink.domain.segments import Encoding
from semalink.domain.sending_window import SendingWindows

RULES = Rules(
    senders=frozenset({"SEMALINK", "OFFERS"}),
    rate_card=RateCard("standard", 1, {("KE", None): 800_000}),
    blocklist=Blocklist.from_mapping(
        {
            "rules": {
                "bets": {"words": ["bet"], "mode": "shadow"},
                "pins": {"phrases": ["send your pin"], "reason": "Nobody asks for a PIN."},
            }
        }
    ),
    promotional={"OFFERS": "STOP*456*9*5#"},
    windows=SendingWindows.from_mapping(
        {"default": {"zone": "Africa/Nairobi", "hours": "08:00-18:00"}}, ZoneInfo
    ),
)
OFFER = Content(to="+254712345678", text="Sale today", sender="OFFERS")
RECEIPT = replace(OFFER, sender="SEMALINK")
NOON = datetime(2026, 11, 2, 9, tzinfo=UTC)
NIGHT = datetime(2026, 11, 2, 19, tzinfo=UTC)


def test_check_adds_the_opt_out_text_to_promotional_messages_only() -> None:
    offer, receipt = check(OFFER, RULES, NOON), check(RECEIPT, RULES, NOON)

    assert (offer.text, offer.opt_out_text) == ("Sale today STOP*456*9*5#", "STOP*456*9*5#")
    assert (receipt.text, receipt.opt_out_text) == ("Sale today", None)
    assert (offer.is_promotional, receipt.is_promotional) == (True, False)


@pytest.mark.parametrize(("length", "segments"), [(146, 1), (147, 2)])
def test_check_prices_the_opt_out_text(length: int, segments: int) -> None:
    checked = check(replace(OFFER, text="a" * length), RULES)

    assert (checked.segments, checked.price_micros) == (segments, 800_000 * segments)


def test_check_adds_nothing_to_a_text_that_holds_the_opt_out_text() -> None:
    content = replace(OFFER, text="Sale today. Stop *456*9*5#")

    checked = check(content, RULES)

    assert (checked.text, checked.opt_out_text) == (content.text, None)


def test_check_refuses_what_the_opt_out_text_makes_too_long() -> None:
    with pytest.raises(TextTooLong):
        check(replace(OFFER, text="a" * 1_530), RULES)


def test_check_refuses_promotional_messages_at_night() -> None:
    with pytest.raises(OutsideSendingWindow) as refused:
        check(OFFER, RULES, NIGHT)

    assert refused.value.earliest_send_at == datetime(2026, 11, 3, 5, tzinfo=UTC)
    assert earliest_in(str(refused.value)) == refused.value.earliest_send_at
    assert [type(one) for one in collect(OFFER, RULES, NIGHT)] == [OutsideSendingWindow]
    assert collect(OFFER, RULES) == collect(OFFER, RULES, NOON) == []


def test_check_lets_other_messages_pass_at_night() -> None:
    assert check(RECEIPT, RULES, NIGHT).segments == 1
    assert collect(RECEIPT, RULES, NIGHT) == []


def test_check_replaces_lookalikes_when_that_is_asked_for() -> None:
    content = replace(RECEIPT, text="\u201cKaribu\u201d" + "a" * 70)
    asked = replace(content, replace_lookalikes=True)

    left, replaced = check(content, RULES), check(asked, RULES)

    assert (left.encoding, left.segments, left.replaced) == (Encoding.UCS_2, 2, None)
    assert (replaced.encoding, replaced.segments) == (Encoding.GSM_7, 1)
    assert replaced.text == '"Karibu"' + "a" * 70
    assert replaced.replaced is not None
    assert replaced.replaced.saved_segments == 1


def test_check_names_shadow_rules_and_lets_the_message_pass() -> None:
    checked = check(replace(RECEIPT, text="Bet on us"), RULES)

    assert checked.shadow_rules == ("bets",)


def test_check_says_why_a_rule_blocks_and_sees_through_lookalikes() -> None:
    with pytest.raises(ContentBlocked) as refused:
        check(replace(RECEIPT, text="S\u0435nd your p\u0456n"), RULES)

    assert rule_in(str(refused.value)) == "pins"
    assert str(refused.value).endswith("Nobody asks for a PIN.")


def test_sentences_of_other_refusals_tell_neither_rule_nor_time() -> None:
    assert rule_in("The text is empty.") == ""
    assert earliest_in("The text is empty.") is None
