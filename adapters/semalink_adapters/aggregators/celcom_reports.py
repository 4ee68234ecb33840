"""Celcom's delivery reports, pushed and asked for: their structs and their status table."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import structlog

from semalink.application.ports import DeliveryReport, ReportState, UnreadableReport
from semalink_adapters.aggregators.wording import (
    Scalar,
    Unreadable,
    decode,
    folded,
    plain,
    reference_of,
    scrub,
    scrub_code,
)

_log = structlog.get_logger()

#: Timestamps come without a zone.
_ZONE = ZoneInfo("Africa/Nairobi")
#: More reports than this in one push is no report of Celcom's.
_REPORTS_MAX = 1_000


class _Meaning(NamedTuple):
    state: ReportState
    failure_code: str | None = None
    opted_out: bool = False


_DELIVERED = _Meaning(ReportState.DELIVERED)
_SUBMITTED = _Meaning(ReportState.SUBMITTED)
_UNDELIVERED = _Meaning(ReportState.FAILED, "delivery_failed")
_REJECTED = _Meaning(ReportState.REJECTED, "rejected_by_operator")
_EXPIRED = _Meaning(ReportState.EXPIRED, "validity_expired")
_UNKNOWN = _Meaning(ReportState.UNKNOWN, "status_unknown_to_operator")

#: By the description in lower case without spaces. Whole words only: "undelivered" holds
#: "delivered", so nothing is ever matched by a part.
_MEANINGS: Mapping[str, _Meaning] = MappingProxyType(
    {
        "deliveredtoterminal": _DELIVERED,
        "delivered": _DELIVERED,
        "delivrd": _DELIVERED,
        "senttonetwork": _SUBMITTED,
        "deliveredtonetwork": _SUBMITTED,
        "submitted": _SUBMITTED,
        "sent": _SUBMITTED,
        "scheduled": _Meaning(ReportState.QUEUED),
        "queued": _Meaning(ReportState.QUEUED),
        "absentsubscriber": _Meaning(ReportState.FAILED, "absent_subscriber"),
        "deliveryimpossible": _Meaning(ReportState.FAILED, "delivery_impossible"),
        "undelivered": _UNDELIVERED,
        "undeliverable": _UNDELIVERED,
        "undeliv": _UNDELIVERED,
        "failed": _UNDELIVERED,
        "sendernameblacklisted": _Meaning(ReportState.REJECTED, "opted_out", opted_out=True),
        "invalidsourceaddress": _Meaning(ReportState.REJECTED, "sender_not_registered"),
        "invalidmsisdn": _Meaning(ReportState.REJECTED, "invalid_number"),
        "rejectd": _REJECTED,
        "rejected": _REJECTED,
        "expired": _EXPIRED,
        "unknown": _UNKNOWN,
    }
)
_UNRECOGNISED = _Meaning(ReportState.UNRECOGNISED)


class _Report(msgspec.Struct, frozen=True):
    """Both shapes at once. `delivery-status` is left out: it is 32 whatever happened."""

    messageid: Scalar = None
    description: Scalar = None
    timestamp: Scalar = None
    message_id: Scalar = msgspec.field(name="message-id", default=None)
    delivery_description: Scalar = msgspec.field(name="delivery-description", default=None)
    delivery_time: Scalar = msgspec.field(name="delivery-time", default=None)
    delivery_networkid: Scalar = msgspec.field(name="delivery-networkid", default=None)


# What a list holds is read one by one, so that a bad one spoils no other.
_DECODER = msgspec.json.Decoder(_Report | list[msgspec.Raw])
_ONE_DECODER = msgspec.json.Decoder(_Report)


def parse_reports(aggregator: str, body: bytes) -> Sequence[DeliveryReport]:
    """Read a pushed body of either shape; raises UnreadableReport when no report can be read."""
    try:
        reports = decode(_DECODER, body)
    except Unreadable:
        raise UnreadableReport("The body is not JSON of a delivery report.") from None
    if isinstance(reports, _Report):
        return (_read(aggregator, reports),)
    if not 0 < len(reports) <= _REPORTS_MAX:
        raise UnreadableReport("The body holds no delivery report, or far too many.")
    return _read_each(aggregator, reports)


def parse_pulled(aggregator: str, reference: str, body: bytes) -> DeliveryReport | None:
    """Read an answer of getdlr; None when it holds no report of this message."""
    try:
        report = _read(aggregator, decode(_ONE_DECODER, body))
    except (Unreadable, UnreadableReport):
        # 1008 "No Delivery Report" and 1009 "No dlr" end here: neither names a state.
        return None
    return report if report.reference == reference else None


def _read_each(aggregator: str, written: Sequence[msgspec.Raw]) -> Sequence[DeliveryReport]:
    reports: list[DeliveryReport] = []
    for part in written:
        try:
            reports.append(_read(aggregator, decode(_ONE_DECODER, bytes(part))))
        except (Unreadable, UnreadableReport):
            continue
    if not reports:
        raise UnreadableReport("The body holds no delivery report that can be read.")
    if len(reports) < len(written):
        _log.error(
            "delivery_reports_skipped",
            aggregator=aggregator,
            count=len(written) - len(reports),
            read_count=len(reports),
        )
    return tuple(reports)


def _read(aggregator: str, report: _Report) -> DeliveryReport:
    reference = reference_of(report.messageid) or reference_of(report.message_id)
    description = plain(report.delivery_description) or plain(report.description)
    if reference is None or not description:
        raise UnreadableReport("A delivery report lacks the message id or the description.")
    meaning = _MEANINGS.get(folded(description), _UNRECOGNISED)
    description = scrub(description)
    if meaning is _UNRECOGNISED:
        _log.error(
            "delivery_status_not_recognised", aggregator=aggregator, status=scrub_code(description)
        )
    is_pulled = report.delivery_description is not None
    if is_pulled and meaning is _DELIVERED and not plain(report.delivery_time):
        # What was delivered has a time; without one the words are not to be trusted yet.
        meaning = _SUBMITTED
    return DeliveryReport(
        reference=reference,
        state=meaning.state,
        description=description,
        failure_code=meaning.failure_code,
        network=scrub_code(plain(report.delivery_networkid)) or None,
        opted_out=meaning.opted_out,
        reported_at=_time(plain(report.delivery_time) or plain(report.timestamp)),
    )


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=_ZONE)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
