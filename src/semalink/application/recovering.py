"""The runner of recoveries: finds what was missed, sends it at its rate, counts what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.application.ledger import Ledger
from semalink.application.webhook_recovery import (
    CompleteRecovery,
    RecoveryItem,
    SendAgain,
    Sent,
)
from semalink.domain.cause import Cause
from semalink.domain.recovery import Counts, Wanted

ACTOR = "worker:recoveries"
#: At most so many events of one recovery are sent in one turn.
PAGE_MAX = 500
#: What was sent and not tried yet is at most so many seconds' worth of an endpoint's rate.
AHEAD_SECONDS = 2


@dataclass(frozen=True, slots=True)
class RecoveryJob:
    """A recovery that runs and has something to do."""

    recovery_id: UUID
    account_id: UUID
    wanted: Wanted
    #: Whether the events that it sends were found before.
    is_matched: bool


class RecoveryBook(Protocol):
    """The tables of recoveries."""

    async def under_way(self) -> Sequence[RecoveryJob]:
        """Return the recoveries that run and have something to find, to send or to complete."""
        ...

    async def take_turn(self, recovery_id: UUID, pause_ms: int) -> int | None:
        """Return the milliseconds since the last turn of any runner; None when too few."""
        ...

    async def match(self, job: RecoveryJob) -> None:
        """Look one more page of the feed through for events that are to be sent."""
        ...

    async def due(self, recovery_id: UUID, limit: int) -> Sequence[RecoveryItem]:
        """Return what was found and not sent yet, oldest first.

        Only as far as there is room: what was sent and was not tried yet is bounded, so that what
        happens now need not stand behind a whole recovery.
        """
        ...

    async def skip(self, recovery_id: UUID, delivery_ids: Sequence[UUID]) -> None:
        """Note of events that nothing had to be sent."""
        ...

    async def counts(self, recovery_id: UUID) -> Counts:
        """Return how far all of it is; what ends is counted with the event that ends it."""
        ...


class RecoveryRunner:
    """Carries recoveries on, turn by turn; any number of runners share each one's rate."""

    def __init__(
        self,
        ledger: Ledger,
        book: RecoveryBook,
        *,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._now = now
        self._new_request_id = new_request_id

    async def step(self) -> int:
        """Give each recovery a turn, and return how many events were sent again."""
        sent = 0
        for job in await self._book.under_way():
            pause_ms = pause_ms_of(job.wanted.rate_per_second)
            elapsed_ms = await self._book.take_turn(job.recovery_id, pause_ms)
            if elapsed_ms is not None:
                sent += await self._carry_on(job, elapsed_ms)
        return sent

    async def _carry_on(self, job: RecoveryJob, elapsed_ms: int) -> int:
        sent = await self._send(job, elapsed_ms)
        counts = await self._book.counts(job.recovery_id)
        if job.is_matched and counts.is_done:
            await self._ledger.execute(CompleteRecovery(job.recovery_id, counts, self._cause()))
        return sent

    async def _send(self, job: RecoveryJob, elapsed_ms: int) -> int:
        if not job.is_matched:
            await self._book.match(job)
        allowed = allowed_count(job.wanted.rate_per_second, elapsed_ms)
        items = await self._book.due(job.recovery_id, allowed)
        cause = self._cause()
        answers = await asyncio.gather(
            *(
                self._ledger.execute(
                    SendAgain(job.recovery_id, job.wanted.endpoint_id, item, cause)
                )
                for item in items
            )
        )
        came_of_it = [answer.value for answer in answers]
        skipped = [
            item.delivery_id
            for item, came in zip(items, came_of_it, strict=True)
            if came is Sent.NOT_NEEDED
        ]
        if skipped:
            await self._book.skip(job.recovery_id, skipped)
        return came_of_it.count(Sent.AGAIN)

    def _cause(self) -> Cause:
        return Cause(ACTOR, self._now(), self._new_request_id())


def pause_ms_of(rate_per_second: int) -> int:
    """Return how long a recovery rests between turns, so that one event at least is allowed."""
    return max(200, -(-1_000 // rate_per_second))


def allowed_count(rate_per_second: int, elapsed_ms: int) -> int:
    """Return how many events may be sent after this long; never more than a second's worth."""
    return min(max(1, rate_per_second * min(elapsed_ms, 1_000) // 1_000), PAGE_MAX)
