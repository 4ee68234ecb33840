"""Africa's Talking's delivery reports: their form fields, their statuses, their reasons."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

import structlog

from semalink.application.ports import (
    DeliveryReport,
    OptOutNotice,
    ReportState,
    UnreadableReport,
)
from semalink.domain.content_check import is_sender_id
from semalink_adapters.aggregators.wording import folded, reference_of, scrub, scrub_code

_log = structlog.get_logger()

_FIELDS_MAX = 50
_NUMBER = re.compile(r"\+?([1-9]\d{6,14})", re.ASCII)


class _Meaning(NamedTuple):
    state: ReportState
    failure_code: str | None = None


_SUBMITTED = _Meaning(ReportState.SUBMITTED)
_UNRECOGNISED = _Meaning(ReportState.UNRECOGNISED)

#: By the status in lower case without spaces.
_MEANINGS: Mapping[str, _Meaning] = MappingProxyType(
    {
        "sent": _SUBMITTED,
        "submitted": _SUBMITTED,
        "buffered": _SUBMITTED,
        "success": _Meaning(ReportState.DELIVERED),
        "rejected": _Meaning(ReportState.REJECTED, "rejected_by_operator"),
        "failed": _Meaning(ReportState.FAILED, "delivery_failed"),
        "absentsubscriber": _Meaning(ReportState.FAILED, "absent_subscriber"),
        # In their words the operator discarded it for its content or its sender.
        "expired": _Meaning(ReportState.REJECTED, "discarded_by_operator"),
    }
)

_OPTED_OUT = "opted_out"

#: By the failureReason in lower case; the send codes spell one of them differently.
_FAILURE_CODES: Mapping[str, str] = MappingProxyType(
    {
        "insufficientcredit": "subscriber_out_of_credit",
        "invalidlinkid": "invalid_link",
        "userisinactive": "subscriber_inactive",
        "userinblacklist": _OPTED_OUT,
        "useraccountsuspended": "subscriber_suspended",
        "notnetworksubcriber": "wrong_network",
        "notnetworksubscriber": "wrong_network",
        "usernotsubscribedtoproduct": "not_subscribed",
        "userdoesnotexist": "subscriber_unknown",
        "deliveryfailure": "delivery_failed",
        "donotdisturbrejection": "do_not_disturb",
    }
)
_REASONED = frozenset({ReportState.FAILED, ReportState.REJECTED})


def parse_reports(aggregator: str, body: bytes) -> Sequence[DeliveryReport]:
    """Read one pushed form; raises UnreadableReport."""
    fields = _fields(body)
    reference = reference_of(fields.get("id"))
    status = fields.get("status", "").strip()
    if reference is None or not status:
        raise UnreadableReport("A delivery report lacks the message id or the status.")
    return (_read(aggregator, reference, status, fields),)


def parse_opt_outs(body: bytes) -> Sequence[OptOutNotice]:
    """Read one pushed opt-out; raises UnreadableReport."""
    fields = _fields(body)
    sender = fields.get("senderId", "").strip()
    number = _number(fields.get("phoneNumber", ""))
    if number is None or not is_sender_id(sender):
        raise UnreadableReport("An opt-out lacks the sender id or the number.")
    return (OptOutNotice(sender, number),)


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(body.decode(errors="replace"), max_num_fields=_FIELDS_MAX))
    except ValueError:
        raise UnreadableReport("The body is not the form of a callback.") from None


def _read(
    aggregator: str, reference: str, status: str, fields: Mapping[str, str]
) -> DeliveryReport:
    meaning = _MEANINGS.get(folded(status), _UNRECOGNISED)
    if meaning is _UNRECOGNISED:
        _log.error(
            "delivery_status_not_recognised", aggregator=aggregator, status=scrub_code(status)
        )
    reason = fields.get("failureReason", "").strip() if meaning.state in _REASONED else ""
    failure_code = _failure_code(aggregator, reason) or meaning.failure_code
    opted_out = failure_code == _OPTED_OUT
    return DeliveryReport(
        reference=reference,
        # Their blacklist stops a message before it is tried, whichever word they end it with.
        state=ReportState.REJECTED if opted_out else meaning.state,
        description=scrub(f"{status}: {reason}" if reason else status),
        failure_code=failure_code,
        to=_number(fields.get("phoneNumber", "")),
        network=scrub_code(fields.get("networkCode", "")) or None,
        opted_out=opted_out,
    )


def _failure_code(aggregator: str, reason: str) -> str | None:
    if not reason:
        return None
    code = _FAILURE_CODES.get(folded(reason))
    if code is None:
        _log.error(
            "failure_reason_not_recognised", aggregator=aggregator, reason=scrub_code(reason)
        )
    return code


def _number(text: str) -> str | None:
    # A plus sign that was not escaped arrives as a space.
    match = _NUMBER.fullmatch(text.strip())
    return None if match is None else f"+{match[1]}"
