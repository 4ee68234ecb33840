"""Networks that the reports of a ledger in memory told; for tests."""

from collections.abc import Mapping

from semalink.application.learned_networks import TELLING, told_network
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger


def learned_networks(ledger: MemoryLedger) -> Mapping[str, str]:
    """Return the networks of numbers that reports told of; others go by prefix."""
    learned: dict[str, str] = {}
    for event in ledger.log:
        if not isinstance(event, TELLING):
            continue
        message = ledger.load(Message, event.originator_id)
        assert message is not None, "a step that is recorded has a message"
        told = told_network(event, message)
        if told is not None and (not told.is_guessed or told.number in learned):
            learned[told.number] = told.network
    return learned
