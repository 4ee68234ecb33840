import re

from hypothesis import given, settings
from hypothesis import strategies as st

from semalink.domain.blocklist import Blocklist, BlocklistRule
from semalink.domain.content_check import CheckedContent, Content, Rules, check, collect
from semalink.domain.errors import DomainError
from semalink.domain.money import format_credits, parse_credits
from semalink.domain.rate_card import RateCard

LITERALS = st.text(alphabet="abß .*(Ⅷ", min_size=1, max_size=6).filter(str.strip)
RULE = st.builds(
    BlocklistRule,
    name=st.sampled_from(["one", "two", "three"]),
    phrases=st.lists(LITERALS, max_size=4).map(tuple),
    words=st.lists(LITERALS, min_size=1, max_size=4).map(tuple),
)
RULES = Rules(
    senders=frozenset({"SEMALINK"}),
    rate_card=RateCard("standard", 1, {("KE", None): 800_000}),
    blocklist=Blocklist((BlocklistRule("words", (), ("bet",)),)),
)
CONTENTS = st.builds(
    Content,
    to=st.sampled_from(["0712345678", "+255712345678", "22141", "", "+254101234567"]),
    text=st.sampled_from(
        ["", "  ", "Habari", "bet", "x" * 1531, "bet " * 500, "\ud800", "😀" * 40]
    ),
    sender=st.sampled_from(["SEMALINK", "semalink", ""]),
)


def outcome_of_check(content: Content) -> CheckedContent | DomainError:
    try:
        return check(content, RULES)
    except DomainError as refusal:
        return refusal


@settings(deadline=None)
@given(CONTENTS)
def test_check_raises_the_first_of_what_collect_lists(content: Content) -> None:
    refusals = collect(content, RULES)

    outcome = outcome_of_check(content)

    if isinstance(outcome, DomainError):
        assert (refusals[0].code, str(refusals[0])) == (outcome.code, str(outcome))
    else:
        assert refusals == []
        assert outcome.price_micros == 800_000 * outcome.segments


def folded(text: str) -> str:
    return " ".join(text.replace("Ⅷ", "VIII").casefold().split())


def holds_phrase(text: str, phrase: str) -> bool:
    return folded(phrase) in folded(text)


def holds_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(folded(word))}(?!\w)", folded(text)) is not None


@settings(deadline=None)
@given(st.lists(RULE, max_size=3), st.text(alphabet="abBßSs .*(Ⅷvi\n", max_size=20))
def test_broken_rules_is_what_a_plain_search_for_each_literal_finds(
    rules: list[BlocklistRule], text: str
) -> None:
    expected = [
        rule.name
        for rule in rules
        if any(holds_phrase(text, phrase) for phrase in rule.phrases)
        or any(holds_word(text, word) for word in rule.words)
    ]

    broken = Blocklist(tuple(rules)).broken_rules(text)

    assert broken == expected


@settings(deadline=None)
@given(st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1))
def test_parse_credits_reads_what_format_credits_writes(amount_micros: int) -> None:
    text = format_credits(amount_micros)

    assert parse_credits(text) == amount_micros
