"""Checkpoints in memory, for tests of what reads them."""

from collections.abc import Sequence

from semalink.domain.checkpoint import SignedCheckpoint


class MemoryCheckpoints:
    """Holds checkpoints that were signed elsewhere, in the order of their numbers."""

    def __init__(self) -> None:
        self.taken: list[SignedCheckpoint] = []

    async def newest(self, before: int | None, limit: int) -> Sequence[SignedCheckpoint]:
        """Return checkpoints, the newest first, from before a number."""
        known = [one for one in self.taken if before is None or one.checkpoint.number < before]
        return known[::-1][:limit]
