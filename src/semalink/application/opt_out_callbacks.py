"""Opt-outs that recipients told an aggregator: stored as they came, then applied."""

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.ledger import Ledger, LedgerUnavailable
from semalink.application.opt_outs import RecordOptOuts
from semalink.application.ports import Aggregator, OptOutNotice, UnreadableReport
from semalink.domain.cause import Cause
from semalink.domain.opt_out import OptOutSource, OptOutSubject

#: Ends the name under which a callback is stored, so that it is told from a delivery report.
OPT_OUT_DOOR = "/opt-out"


class SenderOwners(Protocol):
    """Whose a sender id is; raises NotReady while the database is away."""

    async def owners_of_sender(self, sender: str) -> Sequence[UUID]:
        """Return the accounts that may send under it, in upper or lower case; two at most."""
        ...


class OptOutCallbacks:
    """Reads callbacks and records what they say; repeating one changes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        owners: SenderOwners,
        aggregators: Mapping[str, Aggregator],
        *,
        shared_senders: Container[str],
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._owners = owners
        self._aggregators = aggregators
        self._shared_senders = shared_senders
        self._now = now

    def parse(self, door: str, body: bytes, content_type: str) -> Sequence[OptOutNotice]:
        """Return what a callback says; raises PoisonMessage when nobody can read it."""
        aggregator = self._aggregators.get(door.removesuffix(OPT_OUT_DOOR))
        if aggregator is None:
            msg = "unknown_aggregator"
            raise PoisonMessage(msg)
        try:
            return aggregator.parse_opt_outs(body, content_type)
        except UnreadableReport as unreadable:
            msg = "unreadable_opt_out"
            raise PoisonMessage(msg) from unreadable

    async def apply(self, report_id: UUID, door: str, notices: Sequence[OptOutNotice]) -> None:
        """Record what recipients asked for; raises NotReady while the ledger is away."""
        aggregator = door.removesuffix(OPT_OUT_DOOR)
        cause = Cause(f"aggregator:{aggregator}", self._now(), f"rpt_{report_id.hex}")
        subjects = [await self._subject_of(notice) for notice in notices]
        how = f"{aggregator}: opt-out callback"
        try:
            await self._ledger.execute(RecordOptOuts(subjects, OptOutSource.CALLBACK, how, cause))
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away

    async def _subject_of(self, notice: OptOutNotice) -> OptOutSubject:
        # The handset shows a sender id and no account: what several use is stopped for all.
        owners = await self._owners.owners_of_sender(notice.sender)
        is_of_one = len(owners) == 1 and notice.sender not in self._shared_senders
        return OptOutSubject(owners[0] if is_of_one else None, notice.sender, notice.number)
