"""Turns in memory: which messages of a MemoryLedger wait for a turn of their account."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from semalink.application.outbox import PendingJob
from semalink.application.sharing_out import SHARED_LANE
from semalink_adapters.memory_ledger import MemoryLedger, Pending
from semalink_adapters.memory_outbox import MemoryOutbox


class MemoryTurns:
    """Turns beside a MemoryLedger."""

    def __init__(
        self, ledger: MemoryLedger, outbox: MemoryOutbox, *, now: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._now = now

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Make messages wait that would enter the queue now."""
        for pending in self._of(message_ids):
            is_due = pending.due_at is not None and pending.due_at <= self._now()
            if pending.state == "queued" or (pending.state == "postponed" and is_due):
                pending.state, pending.due_at = "waiting", None

    async def accounts_waiting(self) -> Sequence[UUID]:
        """Return the accounts of which messages wait, in id order."""
        return sorted({pending.job.account_id for pending in self._waiting()})

    async def first_waiting(self, rooms: Mapping[UUID, int]) -> Sequence[PendingJob]:
        """Return the first messages that wait of each account, so many of each, in id order."""
        waiting = sorted(self._waiting(), key=lambda pending: pending.job.message_id)
        return [
            PendingJob(pending.job, pending.lane, pending.round)
            for account_id, room in rooms.items()
            for pending in [one for one in waiting if one.job.account_id == account_id][:room]
        ]

    async def dealt_out(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages that waited as being in the queue."""
        for pending in self._of(message_ids):
            if pending.state == "waiting":
                pending.state, pending.queued_at = "queued", self._now()

    async def still_queued(self, message_ids: Sequence[UUID]) -> Collection[UUID]:
        """Return those that a queue must hold."""
        return {one.job.message_id for one in self._of(message_ids) if one.state == "queued"}

    async def published_before(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Return account and message of what a relay before this one left in the queue."""
        read = self._outbox.ids_read()
        queued = [
            (pending.job.account_id, message_id)
            for message_id, pending in sorted(self._ledger.pending().items())
            if pending.state == "queued" and pending.lane == SHARED_LANE and message_id in read
        ]
        return queued[:limit]

    def _waiting(self) -> list[Pending]:
        return [one for one in self._ledger.pending().values() if one.state == "waiting"]

    def _of(self, message_ids: Sequence[UUID]) -> list[Pending]:
        pending = self._ledger.pending()
        return [pending[one] for one in message_ids if one in pending]
