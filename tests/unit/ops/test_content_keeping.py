import asyncio
from collections.abc import Sequence

import pytest

from semalink.application.content_rules import RuleBook
from semalink.domain.blocklist import BlocklistRule
from semalink.domain.content_check import Rules
from semalink.domain.rate_card import RateCard
from semalink_ops.content_keeping import kept


class BrokenSource:
    """Holds a rule that cannot be read."""

    async def managed_rules(self) -> Sequence[BlocklistRule]:
        return [BlocklistRule("empty", ("",), ())]


async def test_keeping_rules_ends_the_process_when_a_rule_cannot_be_read() -> None:
    book = RuleBook(Rules(frozenset(), RateCard("standard", 1, {})), BrokenSource())

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        async with asyncio.timeout(5), kept(book):
            await asyncio.Event().wait()
