import tomllib
from importlib.resources import files

import pytest

from semalink.domain.blocklist import (
    LITERAL_LENGTH_MAX,
    Blocklist,
    BlocklistRule,
    InvalidBlocklist,
    RuleMode,
)

BLOCKLIST = Blocklist.from_mapping(
    {
        "rules": {
            "gambling": {"words": ["bet", "jackpot"], "phrases": ["free spins"]},
            "free_things": {"phrases": ["free  spins now", "free\tcash", "a+b (c)"]},
        }
    }
)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Hello there", []),
        ("place your BET now", ["gambling"]),
        ("bet", ["gambling"]),
        ("a better alphabet", []),
        ("bet, then rest", ["gambling"]),
        ("\uff22\uff45\uff54 today", ["gambling"]),
        ("Free SPINS", ["gambling"]),
        ("antifree spinsters", ["gambling"]),
        ("free\n spins   now", ["gambling", "free_things"]),
        ("freespins", []),
        ("free cash", ["free_things"]),
        ("solve A+B (C) please", ["free_things"]),
        ("aab c", []),
        ("", []),
    ],
)
def test_broken_rules_names_each_rule_in_order(text: str, rules: list[str]) -> None:
    broken = BLOCKLIST.broken_rules(text)

    assert broken == rules


def test_broken_rules_is_empty_when_there_is_no_rule() -> None:
    blocklist = Blocklist.from_mapping({})

    assert blocklist.broken_rules("anything goes") == []
    assert blocklist == Blocklist()


@pytest.mark.parametrize(
    ("mapping", "fault"),
    [
        ({"rule": {}}, "'rule' is not a setting"),
        ({"rules": ["bet"]}, "rules must be tables"),
        ({"rules": {"Pin Theft": {"words": ["pin"]}}}, "rules.Pin Theft must be named"),
        ({"rules": {3: {"words": ["pin"]}}}, "rules.3 must be named"),
        ({"rules": {"pin": ["pin"]}}, "rules.pin must hold phrases, words or both"),
        ({"rules": {"pin": {}}}, "rules.pin must hold phrases, words or both"),
        ({"rules": {"pin": {"regex": ["a+"]}}}, "rules.pin must hold phrases, words or both"),
        ({"rules": {"pin": {"words": ["a"], "mode": "warn"}}}, "rules.pin.mode must be"),
        ({"rules": {"pin": {"words": ["a"], "reason": 3}}}, "rules.pin.reason must be"),
        ({"rules": {"pin": {"words": ["a"], "reason": "x" * 301}}}, "rules.pin.reason must be"),
        ({"rules": {"pin": {"words": []}}}, "rules.pin lists nothing"),
        ({"rules": {"pin": {"words": "pin"}}}, "rules.pin.words must be a list"),
        ({"rules": {"pin": {"words": 4}}}, "rules.pin.words must be a list"),
        ({"rules": {"pin": {"phrases": [" "]}}}, "rules.pin.phrases holds a text that has nothing"),
        ({"rules": {"pin": {"words": ["\u200b\u00ad \u2060\ufeff"]}}}, "has nothing that can"),
        ({"rules": {"pin": {"phrases": [4]}}}, "rules.pin.phrases holds something"),
        ({"rules": {"pin": {"phrases": ["x" * 101]}}}, "more than 100 characters"),
        ({"rules": {"pin": {"phrases": ["\ufdfa" * 60]}}}, "more than 100 characters"),
    ],
)
def test_from_mapping_says_where_the_fault_is(mapping: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidBlocklist, match=fault) as refused:
        Blocklist.from_mapping(mapping)

    assert str(refused.value).startswith("blocklist: ")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Your code is 481 223. Never share your PIN or OTP with anyone.", []),
        ("Your loan of KES 500 is due on Friday. Pay by M-PESA paybill 123456.", []),
        ("Usitume PIN yako kwa mtu yeyote.", []),
        ("You have won! Reply with your  PIN to claim.", ["pin_theft"]),
        ("Tafadhali tutumie OTP yako sasa", ["code_theft"]),
        ("DOUBLE YOUR MONEY in a week", ["false_investment"]),
    ],
)
def test_default_blocklist_stops_theft_and_passes_warnings(text: str, rules: list[str]) -> None:
    mapping = tomllib.loads(files("semalink_ops").joinpath("blocklist.toml").read_text("utf-8"))

    broken = Blocklist.from_mapping(mapping).broken_rules(text)

    assert broken == rules


def test_with_rules_puts_a_rule_in_the_place_of_one_of_its_name() -> None:
    blocklist = Blocklist.from_mapping({"rules": {"bets": {"words": ["bet"]}}})
    other = BlocklistRule("bets", (), ("jackpot",), RuleMode.SHADOW)
    more = BlocklistRule("loans", ("pay fee",), ())

    whole = blocklist.with_rules([other, more])

    assert whole.broken_rules("bet, pay fee") == ["loans"]
    assert [rule.name for rule in whole.matches("jackpot, pay fee")] == ["bets", "loans"]


@pytest.mark.parametrize("literal", ["", " ", "\u200b", "\u00ad\ufeff", "\ufdfa" * 60])
def test_rule_is_refused_when_it_cannot_be_compared(literal: str) -> None:
    with pytest.raises(InvalidBlocklist, match=r"rules\.pin holds a text that"):
        BlocklistRule("pin", ("send pin", literal), ())


def test_matches_holds_however_deep_phrases_share_their_beginnings() -> None:
    phrases = tuple(f"{'a' * length}b" for length in range(LITERAL_LENGTH_MAX))
    blocklist = Blocklist((BlocklistRule("stairs", phrases, ()),))

    broken = blocklist.broken_rules("a" * 50 + "b")

    assert broken == ["stairs"]
