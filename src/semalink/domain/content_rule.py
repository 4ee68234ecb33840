"""A content rule that operators manage, beside those of the platform's file."""

from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.blocklist import BlocklistRule, RuleMode
from semalink.domain.cause import Cause
from semalink.domain.content_errors import ContentRuleNotFound

#: Each is looked for in every text, and has a line of its own in the metrics.
CONTENT_RULES_MAX = 100
#: Phrases, or words, of one rule.
LITERALS_MAX = 200
#: The id of a rule is made from its name.
_RULES = UUID("6b1f6d0e-52a4-5f0f-9b0c-2f4a3a1d7c58")


class ContentRule(Aggregate):
    """What may not stand in a text, and what is done about it."""

    TOPIC = "content_rule"

    rule: BlocklistRule
    is_removed: bool = False

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A change of a rule: who made it, in which request, and why."""

        actor: str
        request_id: str
        #: Why it was changed, for auditors.
        reason: str

    class Created(Event, Aggregate.Created):
        """A rule was made."""

        TOPIC = "content_rule.created.1"
        rule: str
        mode: str
        phrases: list[str]
        words: list[str]
        #: What a customer is told.
        explanation: str

        def apply(self, content_rule: "ContentRule") -> None:
            """Stand it up."""
            content_rule.rule = _read(self)

    class Changed(Event):
        """A rule holds in another form, or holds again after it was removed."""

        TOPIC = "content_rule.changed.1"
        rule: str
        mode: str
        phrases: list[str]
        words: list[str]
        explanation: str

        def apply(self, content_rule: "ContentRule") -> None:
            """Hold it in this form."""
            content_rule.rule = _read(self)
            content_rule.is_removed = False

    class Removed(Event):
        """A rule holds no more."""

        TOPIC = "content_rule.removed.1"
        rule: str

        def apply(self, content_rule: "ContentRule") -> None:
            """Hold it no more."""
            content_rule.is_removed = True

    @classmethod
    def make(cls, rule: BlocklistRule, reason: str, cause: Cause) -> Self:
        """Make a rule."""
        return cls._create(
            cls.Created,
            id=content_rule_id(rule.name),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            reason=reason,
            **_facts(rule),
        )

    def change(self, rule: BlocklistRule, reason: str, cause: Cause) -> None:
        """Hold the rule in another form; changing it twice changes nothing."""
        assert rule.name == self.rule.name, "a rule keeps its name"
        if rule != self.rule or self.is_removed:
            self._add(self.Changed, cause, reason=reason, **_facts(rule))

    def remove(self, reason: str, cause: Cause) -> None:
        """Hold the rule no more."""
        if self.is_removed:
            raise ContentRuleNotFound
        self._add(self.Removed, cause, reason=reason, rule=self.rule.name)

    def _add(self, change: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            change, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )


def content_rule_id(name: str) -> UUID:
    """Return the id of the stream of a rule."""
    return uuid5(_RULES, name)


def rule_of(
    name: str, mode: str, phrases: Sequence[str], words: Sequence[str], explanation: str
) -> BlocklistRule:
    """Return a rule as texts are held to it."""
    return BlocklistRule(name, tuple(phrases), tuple(words), RuleMode(mode), explanation)


def _read(event: "ContentRule.Created | ContentRule.Changed") -> BlocklistRule:
    return rule_of(event.rule, event.mode, event.phrases, event.words, event.explanation)


def _facts(rule: BlocklistRule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "mode": str(rule.mode),
        "phrases": list(rule.phrases),
        "words": list(rule.words),
        "explanation": rule.reason,
    }
