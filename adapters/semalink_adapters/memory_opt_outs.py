"""Opt-outs of a ledger in memory, for tests."""

from collections.abc import Sequence
from uuid import UUID

from semalink.application.opt_out_reading import OptOutFilter, OptOutView, view_of
from semalink.application.reading import ReadsUnavailable
from semalink.domain.opt_out import OptOut
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryOptOuts:
    """Reads of the opt-outs that a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: When False, nothing can be read.
        self.is_available = True

    async def opt_out(self, opt_out_id: UUID, account_id: UUID | None) -> OptOutView | None:
        """Return one opt-out; None for another account's."""
        for _, one in self._all():
            if one.id == opt_out_id and account_id in (None, one.subject.account_id):
                return view_of(one)
        return None

    async def opt_outs(
        self, wanted: OptOutFilter, *, before: int | None, limit: int
    ) -> Sequence[tuple[int, OptOutView]]:
        """Return opt-outs with their places, newest first, below the place ``before``."""
        found = [
            (place, view_of(one))
            for place, one in reversed(self._all())
            if (before is None or place < before) and _fits(one, wanted)
        ]
        return found[:limit]

    def _all(self) -> list[tuple[int, OptOut]]:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
        loaded = [self._ledger.load(OptOut, one) for one in self._ledger.streams[OptOut]]
        return [(place, one) for place, one in enumerate(loaded, 1) if one is not None]


def _fits(opt_out: OptOut, wanted: OptOutFilter) -> bool:
    subject = opt_out.subject
    sender = None if wanted.sender is None else wanted.sender.lower()
    pairs = (
        (wanted.account_id, subject.account_id),
        (wanted.number, subject.number),
        (sender, subject.sender.lower()),
        (wanted.source, opt_out.source.value),
        (wanted.active, opt_out.is_active),
    )
    return all(want in (None, has) for want, has in pairs)
