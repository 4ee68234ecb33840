"""What is read of signed checkpoints."""

from collections.abc import Sequence
from typing import Protocol

from semalink.domain.checkpoint import SignedCheckpoint


class Checkpoints(Protocol):
    """Reads checkpoints; raises ReadsUnavailable while the database is away."""

    async def newest(self, before: int | None, limit: int) -> Sequence[SignedCheckpoint]:
        """Return checkpoints, the newest first, from before a number."""
        ...
