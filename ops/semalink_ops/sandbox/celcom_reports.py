"""The Celcom family's delivery reports, pushed and pulled."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from semalink_ops.sandbox.magic_numbers import Act
from semalink_ops.sandbox.takings import Taking
from semalink_ops.sandbox.wire_format import WireFormat

#: Timestamps carry no zone; they are those of Nairobi, which knows no summer time.
_NAIROBI = timezone(timedelta(hours=3))

_DELIVERED = "DeliveredToTerminal"
_SENT = "SentToNetwork"
_SCHEDULED = "Scheduled"

#: It is 32 whatever happened; only the description tells.
_DELIVERY_STATUS = 32

_STATUSES: Mapping[Act, tuple[str, ...]] = {
    Act.DELIVERED: (_DELIVERED,),
    Act.ABSENT: ("AbsentSubscriber",),
    Act.BLACKLISTED: ("SenderName Blacklisted",),
    Act.REJECTED: ("REJECTD",),
    Act.EXPIRED: ("Expired",),
    Act.STALLED: (_SCHEDULED,),
    Act.DUPLICATE_REPORT: (_DELIVERED, _DELIVERED),
    Act.REPORT_BEFORE_ANSWER: (_DELIVERED,),
    Act.OUT_OF_ORDER: (_DELIVERED, _SENT),
    Act.TIMEOUT_THEN_DELIVERED: (_DELIVERED,),
    Act.UNRECOGNISED_STATUS: ("HandsetMemoryFull",),
    Act.INVALID_NUMBER: (),
    Act.NO_PROVIDER_CREDIT: (),
    Act.INVALID_SENDER: (),
    Act.FAILED: ("DeliveryImpossible",),
    Act.FAILED_THEN_DELIVERED: ("AbsentSubscriber", _DELIVERED),
    Act.UNKNOWN: ("Unknown",),
    Act.NO_REPORT: (),
    Act.FAIL_OVER: (),
    Act.PASSING_FAULT: (),
    Act.UNREADABLE_ANSWER: (_DELIVERED,),
}


def _render(taking: Taking, status: str) -> bytes:
    assert taking.reported_at is not None, "a report is rendered after its status was recorded"
    return msgspec.json.encode(
        {
            "description": status,
            "messageid": str(taking.reference),
            "timeTaken": _time_taken(taking, taking.reported_at),
            "timestamp": _timestamp(taking.reported_at),
        }
    )


WIRE = WireFormat(
    statuses=_STATUSES,
    passing=frozenset({_SCHEDULED, _SENT}),
    content_type="application/json",
    render=_render,
)


def delivery_report(taking: Taking, *, is_sent: bool) -> dict[str, Any]:
    """Answer getdlr for a message; before its first report only `is_sent` is known."""
    description = taking.status or (_SENT if is_sent else _SCHEDULED)
    reported_at = None if description == _SCHEDULED else taking.reported_at
    return {
        "response-code": 200,
        "message-id": str(taking.reference),
        "response-description": "Success",
        "delivery-status": _DELIVERY_STATUS,
        "delivery-description": description,
        "delivery-tat": None if reported_at is None else _time_taken(taking, reported_at),
        "delivery-networkid": 1,
        "delivery-time": None if reported_at is None else _timestamp(reported_at),
    }


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, _NAIROBI).strftime("%Y-%m-%d %H:%M:%S")


def _time_taken(taking: Taking, reported_at: float) -> str:
    # All three forms were seen in answers of the family.
    seconds = max(0.0, reported_at - taking.taken_at)
    whole = int(seconds)
    forms = (
        f"{whole}s",
        f"{seconds:.2f} sec",
        f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}",
    )
    return forms[taking.sequence % len(forms)]
