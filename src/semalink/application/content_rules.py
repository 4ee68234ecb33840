"""Content rules that operators manage, and the rules of now that they are part of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.reading import ReadsUnavailable
from semalink.domain.blocklist import BlocklistRule
from semalink.domain.cause import Cause
from semalink.domain.content_check import Rules
from semalink.domain.content_errors import ContentRuleNotFound, TooManyContentRules
from semalink.domain.content_rule import CONTENT_RULES_MAX, ContentRule, content_rule_id


@dataclass(frozen=True, slots=True)
class SetContentRule(PlainCommand):
    """Make a content rule, or hold it in another form."""

    rule: BlocklistRule
    reason: str
    cause: Cause
    #: How many there are, as whoever asks has counted.
    rule_count: int = 0

    def needs(self, needs: Needs) -> None:
        """The rule, which may be there already."""
        needs.settings.add(content_rule_id(self.rule.name))

    def decide(self, books: Books) -> None:
        """Set it; raises TooManyContentRules."""
        found = books.find(ContentRule, content_rule_id(self.rule.name))
        is_new = found is None or found.is_removed
        if is_new and self.rule_count >= CONTENT_RULES_MAX:
            raise TooManyContentRules(CONTENT_RULES_MAX)
        if found is None:
            books.add(ContentRule.make(self.rule, self.reason, self.cause))
        else:
            found.change(self.rule, self.reason, self.cause)


@dataclass(frozen=True, slots=True)
class RemoveContentRule(PlainCommand):
    """Hold a content rule no more."""

    name: str
    reason: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The rule."""
        needs.settings.add(content_rule_id(self.name))

    def decide(self, books: Books) -> None:
        """Remove it; raises ContentRuleNotFound."""
        found = books.find(ContentRule, content_rule_id(self.name))
        if found is None:
            raise ContentRuleNotFound
        found.remove(self.reason, self.cause)


class RuleSource(Protocol):
    """Where the rules are kept that operators manage."""

    async def managed_rules(self) -> Sequence[BlocklistRule]:
        """Return them by name; raises ReadsUnavailable while the database is away."""
        ...


class RuleBook:
    """The rules of now: those of the platform's files, and what operators manage beside them."""

    def __init__(self, of_files: Rules, source: RuleSource) -> None:
        self._of_files = of_files
        self._source = source
        self._managed: Sequence[BlocklistRule] | None = None
        self._rules = of_files

    def rules(self) -> Rules:
        """Return the rules; raises ReadsUnavailable until the managed ones were read once."""
        if self._managed is None:
            # Without them a text would pass that operators forbade.
            msg = "The content rules were not read yet."
            raise ReadsUnavailable(msg)
        return self._rules

    async def refresh(self) -> None:
        """Read the managed rules; the same object goes on while none of them changed."""
        managed = list(await self._source.managed_rules())
        if managed != self._managed:
            # Thousands of phrases take a second to combine, and requests must not wait for it.
            blocklist = await asyncio.to_thread(self._of_files.blocklist.with_rules, managed)
            self._rules = replace(self._of_files, blocklist=blocklist)
            self._managed = managed
