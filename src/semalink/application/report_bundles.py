"""Reports that travel together: read, and sent on one by one when they cannot stay together."""

from collections.abc import Sequence

import msgspec

from semalink.application.bus import Outgoing, PoisonMessage
from semalink.application.relaying import REPORT_QUEUE, ReportBundle, ReportPayload

#: A bundle that comes more often may have killed its workers; a restart takes one delivery.
DELIVERIES_TOGETHER_MAX = 2

_payloads = msgspec.json.Decoder(ReportPayload)
_bundles = msgspec.json.Decoder(ReportBundle)


def reports_of(payload: bytes) -> Sequence[ReportPayload]:
    """Return the reports of a message; raises PoisonMessage."""
    try:
        return [ReportPayload(report_id) for report_id in _bundles.decode(payload).report_ids]
    except msgspec.ValidationError:
        # One report alone, by its id or as it came.
        pass
    except msgspec.DecodeError as unreadable:
        msg = "unreadable_report_job"
        raise PoisonMessage(msg) from unreadable
    try:
        return [_payloads.decode(payload)]
    except msgspec.MsgspecError as unreadable:
        msg = "unreadable_report_job"
        raise PoisonMessage(msg) from unreadable


def one_by_one(reports: Sequence[ReportPayload], bundle_id: str) -> Sequence[Outgoing]:
    """Return a message for each report of a bundle, which is stored once however often it is sent.

    What the relay put back after a loss goes under another id than before, so does what is in it.
    """
    _, _, put_back = bundle_id.partition(":")
    return [
        Outgoing(REPORT_QUEUE, msgspec.json.encode(one), f"{one.report_id.hex}:alone:{put_back}")
        for one in reports
    ]
