"""Delivery reports in memory: raw as they came, the work list and the shelf; for tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.bus import NotReady
from semalink.application.orphan_reports import Orphan, OrphanPlace
from semalink.application.reading import ReadsUnavailable
from semalink.application.relaying import ReportPayload
from semalink.application.reporting import (
    Owner,
    ParsedReport,
    RawReport,
)
from semalink.application.submission import Job
from semalink.domain.account import Account
from semalink.domain.message import Message
from semalink.domain.orphan_report import OrphanReport, orphan_id_of
from semalink_adapters.memory_content import approved_in
from semalink_adapters.memory_ledger import MemoryLedger

#: After that no submission of the time of a report is still in flight.
_SETTLED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Shelved:
    parsed: ParsedReport
    shelved_at: datetime


class MemoryReports:
    """RawReports and a ReportBook beside a MemoryLedger; ``is_available`` plays an outage."""

    def __init__(
        self, ledger: MemoryLedger, *, now: Callable[[], datetime], new_id: Callable[[], UUID]
    ) -> None:
        self.is_available = True
        #: Every report as it came, in order.
        self.raw: dict[UUID, RawReport] = {}
        #: When each report came that is not processed yet.
        self.unprocessed: dict[UUID, datetime] = {}
        self._shelf: dict[tuple[UUID, int], _Shelved] = {}
        self._ledger = ledger
        self._now = now
        self._new_id = new_id

    @property
    def shelf(self) -> Sequence[ParsedReport]:
        """The reports that match no message yet, oldest first."""
        return [shelved.parsed for shelved in self._shelf.values()]

    async def store_raw(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Store one report and put it on the work list; raises NotReady."""
        self._require_available()
        report_id = self._new_id()
        self.raw[report_id] = RawReport(report_id, aggregator, content_type, body)
        self.unprocessed[report_id] = self._now()

    async def load(self, payloads: Sequence[ReportPayload]) -> Sequence[RawReport]:
        """Return stored reports; those that came inline are stored first."""
        self._require_available()
        for payload in payloads:
            if payload.body is not None:
                assert payload.aggregator is not None, "an inline report names its aggregator"
                content_type = payload.content_type or ""
                raw = RawReport(payload.report_id, payload.aggregator, content_type, payload.body)
                self.raw.setdefault(payload.report_id, raw)
        wanted = {payload.report_id for payload in payloads}
        return [raw for report_id, raw in self.raw.items() if report_id in wanted]

    async def owners(
        self, references: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Owner]:
        """Return the messages behind (aggregator, reference) pairs, where known."""
        self._require_available()
        known = self._ledger.references
        return {each: Owner(*known[each]) for each in references if each in known}

    async def owners_of_sender(self, sender: str) -> Sequence[UUID]:
        """Return the accounts that may send under it, in upper or lower case; two at most."""
        self._require_available()
        loaded = [self._ledger.load(Account, one) for one in self._ledger.ids(Account)]
        return [
            one.id
            for one in loaded
            if one is not None
            and sender.lower() in {own.lower() for own in approved_in(self._ledger, one)}
        ][:2]

    async def finish(self, report_ids: Sequence[UUID], shelved: Sequence[ParsedReport]) -> None:
        """Shelve what matches no message yet and strike the reports off the work list."""
        self._require_available()
        for parsed in shelved:
            place = (parsed.report_id, parsed.part)
            self._shelf.setdefault(place, _Shelved(parsed, self._now()))
        for report_id in report_ids:
            self.unprocessed.pop(report_id, None)

    async def set_aside(self, report_ids: Sequence[UUID]) -> None:
        """Strike reports off the work list undone; what came stays stored."""
        self._require_available()
        for report_id in report_ids:
            self.unprocessed.pop(report_id, None)

    async def matched_on_shelf(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports whose message is known by now."""
        self._require_available()
        known = self._ledger.references
        matched = [
            (shelved.parsed, Owner(*known[_reference(shelved)]))
            for shelved in self._shelf.values()
            if _reference(shelved) in known
        ]
        return matched[:limit]

    async def matched_by_number(self, limit: int) -> Sequence[tuple[ParsedReport, Owner]]:
        """Return shelved reports that name the only recipient whose outcome is unknown."""
        self._require_available()
        settled_before = self._now() - _SETTLED_AFTER
        matched = []
        for shelved in self._shelf.values():
            jobs = self._unknown_jobs(shelved.parsed)
            known = _reference(shelved) in self._ledger.references
            if shelved.shelved_at < settled_before and len(jobs) == 1 and not known:
                owner = Owner(jobs[0].message_id, jobs[0].billing_account_id)
                matched.append((shelved.parsed, owner))
        return matched[:limit]

    async def unshelve(self, reports: Sequence[ParsedReport]) -> None:
        """Take reports off the shelf."""
        self._require_available()
        for parsed in reports:
            self._shelf.pop((parsed.report_id, parsed.part), None)

    async def orphans(
        self,
        aggregator: str | None,
        *,
        shelved_before: datetime,
        after: OrphanPlace | None,
        limit: int,
    ) -> Sequence[Orphan]:
        """Return reports, oldest first, from behind a place."""
        self._require_readable()
        found = [
            self._orphan(place, shelved)
            for place, shelved in sorted(self._shelf.items())
            if aggregator in (None, shelved.parsed.aggregator)
            and shelved.shelved_at <= shelved_before
            and (after is None or place > (after.report_id, after.part))
            and orphan_id_of(*place) not in self._ledger.streams[OrphanReport]
        ]
        return found[:limit]

    async def orphan(self, place: OrphanPlace) -> Orphan | None:
        """Return one report; None when it is not on the shelf."""
        self._require_readable()
        key = place.report_id, place.part
        if key not in self._shelf or orphan_id_of(*key) in self._ledger.streams[OrphanReport]:
            return None
        return self._orphan(key, self._shelf[key])

    async def billing_account_of(self, message_id: UUID) -> UUID | None:
        """Return whose credits pay for a message; None when there is no such message."""
        self._require_readable()
        message = self._ledger.load(Message, message_id)
        return None if message is None else message.asked.billing_account_id

    def _orphan(self, place: tuple[UUID, int], shelved: _Shelved) -> Orphan:
        raw = self.raw[place[0]]
        return Orphan(shelved.parsed, shelved.shelved_at, raw.content_type, raw.body)

    async def overdue_unknowns(self, limit: int) -> Sequence[Job]:
        """Return messages whose lost answer was waited for long enough."""
        self._require_available()
        overdue = [
            pending.job
            for pending in self._ledger.pending().values()
            if pending.state == "unknown" and pending.due_at and pending.due_at <= self._now()
        ]
        return overdue[:limit]

    async def expired_unsent(self, limit: int) -> Sequence[Job]:
        """Return messages that were not handed over a minute after their validity passed."""
        self._require_available()
        expired_by = self._now() - _SETTLED_AFTER
        expired = [
            pending.job
            for pending in self._ledger.pending().values()
            if pending.state in {"queued", "waiting", "postponed", "parked", "held"}
            and pending.expires_at < expired_by
        ]
        return expired[:limit]

    async def park(self, message_id: UUID) -> None:
        """Take a message that became a dead letter off the list of what a queue must hold."""
        self._require_available()
        pending = self._ledger.pending().get(message_id)
        if pending is not None and pending.state in {"queued", "waiting", "postponed"}:
            pending.state, pending.due_at = "parked", None

    def _unknown_jobs(self, parsed: ParsedReport) -> Sequence[Job]:
        return [
            pending.job
            for pending in self._ledger.pending().values()
            if pending.state == "unknown"
            and pending.aggregator == parsed.aggregator
            and pending.recipient == parsed.report.to
        ]

    def _require_readable(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)

    def _require_available(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise NotReady(msg)


def _reference(shelved: _Shelved) -> tuple[str, str]:
    return shelved.parsed.aggregator, shelved.parsed.report.reference
