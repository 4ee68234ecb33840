"""What waits for an endpoint that was removed is given up, a piece at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import GivenUp

#: Deliveries that one command gives up at most.
PIECE_MAX = 200


@dataclass(frozen=True, slots=True)
class GiveUpRemoved(PlainCommand):
    """Make no further attempt of deliveries whose endpoint is gone."""

    delivery_ids: tuple[UUID, ...]
    cause: Cause

    @property
    def weight(self) -> int:  # type: ignore[override]
        """How many deliveries it is about."""
        return len(self.delivery_ids)

    def needs(self, needs: Needs) -> None:
        """The deliveries."""
        needs.deliveries.update(self.delivery_ids)

    def decide(self, books: Books) -> None:
        """Give up what still waits; what is over stays as it is."""
        for delivery_id in self.delivery_ids:
            books.delivery(delivery_id).give_up(GivenUp.ENDPOINT_REMOVED, self.cause)


class RemovedBook(Protocol):
    """Finds what waits in vain; raises ReadsUnavailable while the database is away."""

    async def waiting_in_vain(self, limit: int) -> Sequence[UUID]:
        """Return deliveries that wait for an endpoint that was removed."""
        ...


async def give_up_removed(book: RemovedBook, ledger: Ledger, cause: Callable[[], Cause]) -> int:
    """Give up a piece of what waits in vain and return how much it was."""
    found = await book.waiting_in_vain(PIECE_MAX)
    if found:
        await ledger.execute(GiveUpRemoved(tuple(found), cause()))
    return len(found)
