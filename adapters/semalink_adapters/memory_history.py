"""The history of a ledger in memory, for tests."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.application.history import (
    DELIVERIES,
    REFUSAL_PREFIX,
    REFUSED,
    HistoryFilter,
    HistoryPage,
    Place,
    Recorded,
    matches,
    public_facts,
    recorded_event,
    row_of,
    window_of,
)
from semalink.application.ledger import Refusal
from semalink.application.reading import ReadsUnavailable
from semalink.domain.account import Account
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.adjustment import Adjustment
from semalink.domain.contact_import import ContactImport
from semalink.domain.contact_list import ContactList
from semalink.domain.content_rule import ContentRule
from semalink.domain.credit_account import CreditAccount
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.dead_letter_job import DeadLetterJob
from semalink.domain.ids import format_id
from semalink.domain.message import Message
from semalink.domain.opt_out import OptOut
from semalink.domain.orphan_report import OrphanReport
from semalink.domain.recovery import Recovery
from semalink.domain.route import Route
from semalink.domain.sender_id import SenderId
from semalink.domain.sender_route import SenderRoute
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink.domain.webhook_endpoint import WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger

_SOURCES: dict[type[Any], int] = {
    CreditAccount: 1,
    Message: 2,
    Account: 3,
    Adjustment: 3,
    AccountingMonth: 3,
    OptOut: 3,
    OrphanReport: 3,
    Recovery: 3,
    ContactImport: 3,
    ContactList: 3,
    DeadLetter: 3,
    DeadLetterJob: 3,
    Route: 3,
    SenderRoute: 3,
    SenderId: 3,
    ContentRule: 3,
    WebhookEndpoint: 3,
    WebhookDelivery: 5,
}
_REFUSALS = 4


class MemoryHistory:
    """Pages of what a memory ledger holds; the time of a decision is that of its recording."""

    def __init__(self, ledger: MemoryLedger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now
        #: When False, nothing can be read.
        self.is_available = True

    async def page(self, asked: HistoryFilter, after: Place | None, limit: int) -> HistoryPage:
        """Return rows behind a place."""
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
        start, end = window_of(asked, self._now())
        found = [
            one
            for one in self._rows()
            if start <= one.place.at <= end
            and matches(one, asked)
            and (asked.asks_for_deliveries or not one.name.startswith(f"{DELIVERIES}."))
            and _is_behind(one, asked, after)
        ]
        found.sort(key=lambda one: one.place, reverse=asked.is_newest_first)
        place = found[limit - 1].place if len(found) > limit else None
        return HistoryPage([row_of(one) for one in found[:limit]], place)

    def _rows(self) -> Iterator[Recorded]:
        for kind, number in _SOURCES.items():
            for stream in self._ledger.streams[kind].values():
                for event in stream:
                    version = event.originator_version
                    place = Place(event.timestamp, number, event.originator_id, version)
                    owner_id = None if kind is CreditAccount else _owner_of(stream[0])
                    before = _before(stream[: version - 1], event)
                    yield recorded_event(event, place, owner_id=owner_id, before=before)
        for number, refusal in enumerate(self._ledger.refusals, 1):
            yield _refused(UUID(int=number), refusal)


def _is_behind(one: Recorded, asked: HistoryFilter, after: Place | None) -> bool:
    if after is None:
        return True
    return one.place < after if asked.is_newest_first else one.place > after


def _owner_of(created: Any) -> UUID | None:
    account_id: UUID | None = getattr(created, "account_id", None)
    return account_id


def _before(earlier: list[Any], event: Any) -> dict[str, Any] | None:
    if isinstance(event, CreditAccount.LimitSet):
        return {"credit_limit_micros": earlier[-1].credit_limit_after_micros}
    if not event.TOPIC.startswith("account.") or not event.TOPIC.endswith(
        ("_set.1", "_preferred.1")
    ):
        return None
    same = [one for one in earlier if type(one) is type(event)]
    return public_facts(same[-1]) if same else None


def _refused(refusal_id: UUID, refusal: Refusal) -> Recorded:
    cause = refusal.cause
    return Recorded(
        place=Place(cause.at, _REFUSALS, refusal_id, 0),
        caused_at=cause.at,
        name=f"{REFUSED}.{refusal.command}",
        actor=cause.actor,
        request_id=cause.request_id,
        id=format_id(REFUSAL_PREFIX, refusal_id),
        account_id=refusal.account_id,
        customer_id=None,
        message_id=None,
        reason=refusal.code,
        detail=refusal.detail,
        facts={} if refusal.part is None else {"part": refusal.part},
    )
