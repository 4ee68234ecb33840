"""Buckets of rate limits in memory; for tests."""

from collections.abc import Callable, Sequence
from uuid import UUID

from semalink.application.rate_limiting import BucketsUnavailable
from semalink.domain.rate_limit import AccountBuckets, Ask, Grant, lease


class MemoryBuckets:
    """The buckets of all accounts, on a clock that it is given."""

    def __init__(self, now_nanos: Callable[[], int]) -> None:
        self._now = now_nanos
        self.buckets: dict[tuple[UUID, str], AccountBuckets] = {}
        #: When False, it does not answer.
        self.is_available = True
        self.asked: list[Ask] = []

    async def lease(self, asks: Sequence[Ask]) -> Sequence[Grant]:
        """Answer each ask, in order; raises BucketsUnavailable."""
        self.asked.extend(asks)
        if not self.is_available:
            raise BucketsUnavailable
        now = self._now()
        return [lease(self._of(ask), ask, now) for ask in asks]

    def _of(self, ask: Ask) -> AccountBuckets:
        return self.buckets.setdefault((ask.account_id, ask.mode), AccountBuckets())
