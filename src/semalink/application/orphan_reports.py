"""Reports that match no message: shown to operators, given to a message by hand, or put away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.reporting import ParsedReport
from semalink.domain.cause import Cause
from semalink.domain.ids import format_id, parse_id
from semalink.domain.message import Message
from semalink.domain.orphan_report import OrphanReport, orphan_id_of
from semalink.domain.report_errors import OrphanReportNotFound, ReportDoesNotFit
from semalink.domain.status import Status

REPORT_PREFIX = "rpt_"
#: Digits of a number that are shown at its end; those of its country are, too.
_SHOWN_DIGITS = 3


@dataclass(frozen=True, slots=True)
class OrphanPlace:
    """One report of a body: the body's id, and its place in it."""

    report_id: UUID
    part: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """A report on the shelf, as it came and as it was understood."""

    parsed: ParsedReport
    shelved_at: datetime
    content_type: str
    body: bytes


class OrphanView(msgspec.Struct, frozen=True):
    """A report that matches no message."""

    id: str
    aggregator: str
    #: The aggregator's id of the message that it is about.
    reference: str
    state: str
    #: In the provider's words.
    description: str
    failure_code: str | None
    network: str | None
    #: The recipient without most of its digits; null when the report names none.
    to: str | None
    reported_at: datetime | None
    shelved_at: datetime


class OrphanDetail(OrphanView, frozen=True):
    """A report that matches no message, with the body that it came in."""

    content_type: str
    body: str


class Orphans(Protocol):
    """The shelf; raises ReadsUnavailable while the database is away."""

    async def orphans(
        self,
        aggregator: str | None,
        *,
        shelved_before: datetime,
        after: OrphanPlace | None,
        limit: int,
    ) -> Sequence[Orphan]:
        """Return reports, oldest first, from behind a place."""
        ...

    async def orphan(self, place: OrphanPlace) -> Orphan | None:
        """Return one report; None when it is not on the shelf."""
        ...

    async def billing_account_of(self, message_id: UUID) -> UUID | None:
        """Return whose credits pay for a message; None when there is no such message."""
        ...


@dataclass(frozen=True, slots=True)
class AttachReport(PlainCommand):
    """Give a report to the message that a person knows it is about."""

    parsed: ParsedReport
    message_id: UUID
    billing_account_id: UUID
    reason: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """What recording the report needs, and whether it was decided before."""
        needs.settings.add(orphan_id_of(self.parsed.report_id, self.parsed.part))
        self._record().needs(needs)

    def decide(self, books: Books) -> Status:
        """Apply the report as if it had found the message by itself, once."""
        _refuse_if_settled(books, self.parsed)
        message = books.message(self.message_id)
        if not _may_be_about(message):
            raise ReportDoesNotFit
        books.add(_settled(self.parsed, self.reason, self.message_id, self.cause))
        return self._record().decide(books)

    def _record(self) -> RecordReport:
        parsed = self.parsed
        return RecordReport(
            self.message_id, self.billing_account_id, parsed.aggregator, parsed.report, self.cause
        )


@dataclass(frozen=True, slots=True)
class DiscardReport(PlainCommand):
    """Put a report away that is about nothing of ours; what came stays stored."""

    parsed: ParsedReport
    reason: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Whether it was decided before."""
        needs.settings.add(orphan_id_of(self.parsed.report_id, self.parsed.part))

    def decide(self, books: Books) -> None:
        """Take it off the shelf, once."""
        _refuse_if_settled(books, self.parsed)
        books.add(_settled(self.parsed, self.reason, None, self.cause))


def view_of_orphan(orphan: Orphan) -> OrphanView:
    """Return what everybody may see of it."""
    return OrphanView(**_facts(orphan))


def detail_of_orphan(orphan: Orphan) -> OrphanDetail:
    """Return all of it, which holds the number and whatever else came."""
    body = orphan.body.decode(errors="replace")
    return OrphanDetail(**_facts(orphan), content_type=orphan.content_type, body=body)


def format_place(place: OrphanPlace) -> str:
    """Return the public id: "rpt_…", and the place for all but the first of a body."""
    written = format_id(REPORT_PREFIX, place.report_id)
    return written if place.part == 0 else f"{written}.{place.part}"


def parse_place(text: str) -> OrphanPlace:
    """Return the place behind a public id; raises OrphanReportNotFound."""
    written, _, part = text.partition(".")
    report_id = parse_id(REPORT_PREFIX, written)
    if report_id is None or not (part or "0").isascii() or not (part or "0").isdecimal():
        raise OrphanReportNotFound
    # More would fit into no body.
    return OrphanPlace(report_id, min(int((part or "0")[:6]), 999_999))


def masked(number: str | None) -> str | None:
    """Return a number with its first and last digits only."""
    if number is None:
        return None
    shown_count = _SHOWN_DIGITS + 1
    hidden_count = max(0, len(number) - shown_count - _SHOWN_DIGITS)
    return number[:shown_count] + "*" * hidden_count + number[shown_count + hidden_count :]


def _may_be_about(message: Message) -> bool:
    # An answer that was lost may have been yes, also when nobody waits for it any more.
    is_unsure = message.outcome_unknown or message.status is Status.UNKNOWN
    return message.reference is not None or is_unsure


def _facts(orphan: Orphan) -> dict[str, Any]:
    parsed, report = orphan.parsed, orphan.parsed.report
    return {
        "id": format_place(OrphanPlace(parsed.report_id, parsed.part)),
        "aggregator": parsed.aggregator,
        "reference": report.reference,
        "state": report.state.value,
        "description": report.description,
        "failure_code": report.failure_code,
        "network": report.network,
        "to": masked(report.to),
        "reported_at": report.reported_at,
        "shelved_at": orphan.shelved_at,
    }


def _refuse_if_settled(books: Books, parsed: ParsedReport) -> None:
    if books.find(OrphanReport, orphan_id_of(parsed.report_id, parsed.part)) is not None:
        raise OrphanReportNotFound


def _settled(
    parsed: ParsedReport, reason: str, message_id: UUID | None, cause: Cause
) -> OrphanReport:
    return OrphanReport.settle(
        parsed.report_id,
        parsed.part,
        parsed.aggregator,
        cause,
        reason=reason,
        message_id=message_id,
    )
