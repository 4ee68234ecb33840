"""Networks that the reports of a ledger in memory told; for tests."""

from collections.abc import Mapping, Sequence

from semalink.application.learned_networks import TELLING, told_network
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryNetworks:
    """Learned networks of a memory ledger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def networks_of(self, numbers: Sequence[str]) -> Mapping[str, str]:
        """Return the networks of those numbers that reports told of; others go by prefix."""
        learned: dict[str, str] = {}
        for event in self._ledger.log:
            if not isinstance(event, TELLING):
                continue
            message = self._ledger.load(Message, event.originator_id)
            assert message is not None, "a step that is recorded has a message"
            told = told_network(event, message)
            if told is not None and (not told.is_guessed or told.number in learned):
                learned[told.number] = told.network
        return {number: learned[number] for number in numbers if number in learned}
