"""Sending a dead letter round again: as it was, with another payload, or as a mended report."""

from dataclasses import dataclass
from uuid import UUID

import msgspec

from semalink.application.dead_letter_reading import DeadLetterContents
from semalink.application.dead_letters import RepublishDeadLetter, about_of
from semalink.application.relaying import REPORT_QUEUE, ReportPayload
from semalink.domain.cause import Cause
from semalink.domain.errors import PayloadTooLarge

_BYTES_MAX = 16 * 1024
_REPORT_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Edit:
    """What goes round instead of what was buried; nothing of it: the same again."""

    payload: bytes | None = None
    #: The delivery report as it should have come. It becomes a new report: the stored one stays.
    report_body: bytes | None = None
    #: Whether one that went round before may go again.
    again: bool = False


def payload_bytes_max(queue: str) -> int:
    """Return how large a message of a queue may be."""
    return _REPORT_BYTES_MAX if queue == REPORT_QUEUE else _BYTES_MAX


def republishing_of(
    found: DeadLetterContents, letter_id: UUID, edit: Edit, cause: Cause, new_report_id: UUID
) -> RepublishDeadLetter:
    """Return the command that sends it round; raises PayloadTooLarge.

    ``report_body`` may be given only where the dead letter is about a stored report.
    """
    queue = found.letter.queue
    payload = edit.payload
    if edit.report_body is not None:
        assert found.report is not None, "the caller looks whether there is a report"
        report = found.report
        payload = msgspec.json.encode(
            ReportPayload(
                new_report_id,
                report.aggregator,
                report.content_type,
                edit.report_body,
                report.received_at,
            )
        )
    bytes_max = payload_bytes_max(queue)
    if payload is not None and len(payload) > bytes_max:
        raise PayloadTooLarge(bytes_max)
    about = about_of(queue, found.payload if payload is None else payload)
    return RepublishDeadLetter(letter_id, cause, payload=payload, about=about, again=edit.again)
