from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from semalink.domain.blocklist import BlocklistRule, RuleMode
from semalink.domain.cause import Cause
from semalink.domain.content_errors import ContentRuleNotFound
from semalink.domain.content_rule import ContentRule

CAUSE = Cause("operator:one", datetime(2026, 11, 2, 8, 15, tzinfo=UTC), "req_1")
RULE = BlocklistRule("loans", ("pay fee",), ("loan",), RuleMode.SHADOW, "Not sent.")


def names(rule: ContentRule) -> list[str]:
    return [type(event).__name__ for event in rule.collect_events()]


def test_change_counts_once() -> None:
    made = ContentRule.make(RULE, "Complaints.", CAUSE)
    blocking = replace(RULE, mode=RuleMode.BLOCK)

    made.change(RULE, "Again.", CAUSE)
    made.change(blocking, "Watched.", CAUSE)

    assert names(made) == ["Created", "Changed"]
    assert made.rule == blocking


def test_remove_holds_until_the_rule_is_set_again() -> None:
    made = ContentRule.make(RULE, "Complaints.", CAUSE)

    made.remove("Not needed.", CAUSE)
    with pytest.raises(ContentRuleNotFound):
        made.remove("Not needed.", CAUSE)
    made.change(RULE, "Needed again.", CAUSE)

    assert names(made) == ["Created", "Removed", "Changed"]
    assert not made.is_removed


def test_replay_comes_to_the_same_rule() -> None:
    made = ContentRule.make(RULE, "Complaints.", CAUSE)
    made.remove("Not needed.", CAUSE)

    replayed: Any = None
    for event in made.collect_events():
        replayed = event.mutate(replayed)

    assert replayed == made
