"""What must be done with credits now and then: reservations that nobody resolved in time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from semalink.application.bus import NotReady
from semalink.application.credits import ExpireReservation
from semalink.application.ledger import Ledger, LedgerUnavailable, Undecidable
from semalink.domain.cause import Cause
from semalink.domain.errors import DomainError

#: Reservations that are looked at together.
PAGE_SIZE = 500


class Due(NamedTuple):
    """A reservation whose time is up."""

    expires_at: datetime
    reservation_id: UUID
    #: Whose credits it holds.
    account_id: UUID


class CreditWatch(Protocol):
    """A look at what is due; raises NotReady while the database is away."""

    async def due_reservations(self, at: datetime, limit: int, after: Due | None) -> Sequence[Due]:
        """Return reservations whose time is up, oldest first, from behind the one given."""
        ...

    async def low_accounts(self) -> frozenset[UUID]:
        """Return the accounts that were warned and have not recovered."""
        ...


class CreditKeeper:
    """Expires reservations and tells who came near its limit."""

    def __init__(
        self,
        ledger: Ledger,
        watch: CreditWatch,
        *,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        on_low: Callable[[UUID], None],
        on_stuck: Callable[[UUID], None],
    ) -> None:
        self._ledger = ledger
        self._watch = watch
        self._now = now
        self._new_request_id = new_request_id
        self._on_low = on_low
        self._on_stuck = on_stuck
        self._low: frozenset[UUID] = frozenset()

    async def expire_due(self) -> int:
        """Give back what nobody resolved in time; returns how many were. Raises NotReady.

        Repeating it changes nothing, so several may do it at once.
        """
        expired, after = 0, None
        while due := await self._watch.due_reservations(self._now(), PAGE_SIZE, after):
            for one in due:
                expired += await self._expire(one)
            after = due[-1]
        return expired

    async def _expire(self, due: Due) -> bool:
        cause = Cause("worker:credits", self._now(), self._new_request_id())
        command = ExpireReservation(due.reservation_id, due.account_id, cause)
        try:
            return (await self._ledger.execute(command)).value
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away
        except (DomainError, Undecidable):
            # One that cannot be given back must not keep the others from it.
            self._on_stuck(due.reservation_id)
            return False

    async def look_for_low(self) -> int:
        """Tell each account that came near its limit since the last look; return how many are."""
        low = await self._watch.low_accounts()
        for account_id in sorted(low - self._low):
            self._on_low(account_id)
        self._low = low
        return len(low)
