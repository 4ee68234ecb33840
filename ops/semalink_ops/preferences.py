"""What is set for an account's routes, remembered for a moment."""

import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from semalink.domain.routing import Wish

TTL_SECONDS = 1.0
SIZE_MAX = 10_000


class CachedWishes:
    """Asks once a second and account, so that a burst of messages costs one look-up."""

    def __init__(self, look_up: Callable[[UUID], Awaitable[Wish]]) -> None:
        self._look_up = look_up
        self._known: dict[UUID, tuple[float, Wish]] = {}

    async def get(self, account_id: UUID) -> Wish:
        """Return what is set, at most a second old; raises what the look-up raises."""
        now = time.monotonic()
        known = self._known.get(account_id)
        if known is not None and known[0] > now:
            return known[1]
        wish = await self._look_up(account_id)
        if len(self._known) >= SIZE_MAX:
            self._known.clear()
        self._known[account_id] = (now + TTL_SECONDS, wish)
        return wish
