from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from semalink.application.content_rules import RemoveContentRule, RuleBook, SetContentRule
from semalink.application.reading import ReadsUnavailable
from semalink.domain.blocklist import BlocklistRule, RuleMode
from semalink.domain.cause import Cause
from semalink.domain.content_check import Rules
from semalink.domain.content_errors import ContentRuleNotFound, TooManyContentRules
from semalink.domain.content_rule import CONTENT_RULES_MAX, ContentRule, content_rule_id
from semalink.domain.rate_card import RateCard
from semalink_adapters.memory_ledger import MemoryLedger

RULE = BlocklistRule("loans", ("pay fee",), (), RuleMode.SHADOW, "Not sent.")
OF_FILES = Rules(frozenset({"SEMA"}), RateCard("standard", 1, {}))


@dataclass
class Source:
    """Managed rules that a test sets."""

    managed: list[BlocklistRule] = field(default_factory=list)
    is_available: bool = True

    async def managed_rules(self) -> Sequence[BlocklistRule]:
        if not self.is_available:
            raise ReadsUnavailable
        return list(self.managed)


def test_set_content_rule_makes_it_changes_it_and_brings_it_back(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    for command in (
        SetContentRule(RULE, "Complaints.", cause()),
        SetContentRule(RULE, "Again.", cause(), CONTENT_RULES_MAX),
        RemoveContentRule("loans", "Not needed.", cause()),
        SetContentRule(RULE, "Needed again.", cause()),
    ):
        ledger.decide(command)

    rule = ledger.load(ContentRule, content_rule_id("loans"))
    assert rule is not None
    assert (rule.rule, rule.is_removed, rule.version) == (RULE, False, 3)


def test_set_content_rule_is_refused_when_there_are_as_many_as_may_be(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    ledger.decide(SetContentRule(RULE, "Complaints.", cause()))
    ledger.decide(RemoveContentRule("loans", "Not needed.", cause()))

    with pytest.raises(TooManyContentRules):
        ledger.decide(SetContentRule(RULE, "Again.", cause(), CONTENT_RULES_MAX))


def test_remove_content_rule_refuses_one_that_is_not_there(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(ContentRuleNotFound):
        ledger.decide(RemoveContentRule("loans", "Not needed.", cause()))


async def test_rule_book_holds_contents_to_what_operators_manage() -> None:
    source = Source([RULE])
    book = RuleBook(OF_FILES, source)

    await book.refresh()
    first = book.rules()
    await book.refresh()
    same = book.rules()
    source.managed = []
    await book.refresh()

    assert [rule.name for rule in first.blocklist.matches("pay fee now")] == ["loans"]
    assert same is first
    assert book.rules().blocklist.matches("pay fee now") == ()


async def test_rule_book_answers_only_when_the_managed_rules_were_read() -> None:
    source = Source([RULE])
    book = RuleBook(OF_FILES, source)

    with pytest.raises(ReadsUnavailable):
        book.rules()
    await book.refresh()
    source.is_available = False
    with pytest.raises(ReadsUnavailable):
        await book.refresh()

    assert book.rules().blocklist.rules == (RULE,)
