from dataclasses import replace

import pytest

from semalink.domain.blocklist import Blocklist
from semalink.domain.content_check import (
    SEGMENTS_MAX,
    CheckedContent,
    Content,
    Rules,
    check,
    collect,
    is_sender_id,
)
from semalink.domain.errors import (
    ContentBlocked,
    DomainError,
    EmptyText,
    InvalidNumber,
    TextTooLong,
    UnknownSender,
    UnsupportedDestination,
)
from semalink.domain.phone_number import PhoneNumber
from semalink.domain.rate_card import RateCard
from semalink.domain.segments import Encoding, measure

RULES = Rules(
    senders=frozenset({"SEMALINK", "40123", "not a sender id"}),
    rate_card=RateCard.from_mapping(
        {"name": "standard", "version": 1, "prices": {"KE": {"default": "0.80", "telkom": "1"}}}
    ),
    blocklist=Blocklist.from_mapping(
        {"rules": {"gambling": {"words": ["bet"]}, "jackpots": {"words": ["jackpot"]}}}
    ),
)
CONTENT = Content(to="0712345678", text="Habari Wanjiku", sender="SEMALINK")


def test_check_says_what_a_message_takes_and_costs() -> None:
    content = replace(CONTENT, to="0771234567", text="\u2019" * 71)

    checked = check(content, RULES)

    assert checked == CheckedContent(
        PhoneNumber("+254771234567", "KE", "telkom"), measure("\u2019" * 71), 2_000_000
    )
    assert (checked.to, checked.country, checked.network) == ("+254771234567", "KE", "telkom")
    assert (checked.encoding, checked.segments) == (Encoding.UCS_2, 2)
    assert collect(content, RULES) == []


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (replace(CONTENT, to="22141"), InvalidNumber),
        (replace(CONTENT, to="+255712345678"), UnsupportedDestination),
        (replace(CONTENT, sender="semalink"), UnknownSender),
        (replace(CONTENT, sender=""), UnknownSender),
        (replace(CONTENT, sender="not a sender id"), UnknownSender),
        (replace(CONTENT, text=""), EmptyText),
        (replace(CONTENT, text=" \n\u00a0"), EmptyText),
        (replace(CONTENT, text="a" * 1531), TextTooLong),
        (replace(CONTENT, text="Bet on us"), ContentBlocked),
        (replace(CONTENT, text="nil \x00"), ContentBlocked),
        (replace(CONTENT, text="half \ud83d"), ContentBlocked),
    ],
)
def test_check_refuses(content: Content, refusal: type[DomainError]) -> None:
    with pytest.raises(refusal) as refused:
        check(content, RULES)

    assert [type(each) for each in collect(content, RULES)] == [refusal]
    assert str(collect(content, RULES)[0]) == str(refused.value)


def test_check_accepts_the_last_segment_that_is_allowed() -> None:
    content = replace(CONTENT, text="a" * 1530)

    checked = check(content, RULES)

    assert (checked.segments, checked.price_micros) == (SEGMENTS_MAX, 8_000_000)


def test_check_refuses_one_segment_more_than_allowed_when_the_rules_allow_fewer() -> None:
    rules = replace(RULES, segments_max=2)

    with pytest.raises(TextTooLong) as refused:
        check(replace(CONTENT, text="a" * 307), rules)

    assert (refused.value.segments, refused.value.segments_max) == (3, 2)


def test_check_names_the_first_rule_that_blocks() -> None:
    content = replace(CONTENT, text="Jackpot! Bet now")

    with pytest.raises(ContentBlocked) as refused:
        check(content, RULES)

    assert refused.value.rule == "gambling"


def test_check_reads_a_local_number_in_the_default_country() -> None:
    rules = replace(RULES, default_country="UG")

    with pytest.raises(UnsupportedDestination) as refused:
        check(replace(CONTENT, to="0772123456"), rules)

    assert refused.value.country == "UG"


def test_collect_lists_every_refusal_by_precedence() -> None:
    content = Content(to="", text="\x00jackpot bet " + "a " * 800, sender="Other")

    refusals = collect(content, RULES)

    assert [refusal.code for refusal in refusals] == [
        "invalid_number",
        "unknown_sender",
        "text_too_long",
        "content_blocked",
        "content_blocked",
        "content_blocked",
    ]
    assert [each.rule for each in refusals if isinstance(each, ContentBlocked)] == [
        "unsendable_characters",
        "gambling",
        "jackpots",
    ]


def test_content_hides_the_number_and_the_text_in_its_repr() -> None:
    shown = repr(CONTENT)

    assert shown == "Content(sender='SEMALINK')"


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("SEMALINK", True),
        ("M-PESA", True),
        ("Acme Ltd", True),
        ("A", True),
        ("SEMALINK_KE", True),
        ("4ME", True),
        ("40123", True),
        ("123", True),
        ("12", False),
        ("123456789", False),
        ("SEMALINK_KEN", False),
        ("", False),
        (" ACME", False),
        ("ACME ", False),
        ("Ünite", False),
        ("ACME\n", False),
        ("+254712", False),
    ],
)
def test_is_sender_id_knows_names_and_short_codes(text: str, *, possible: bool) -> None:
    answer = is_sender_id(text)

    assert answer is possible
