"""Shapes of dead letters in the operators' API."""

import base64
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from semalink.application.dead_letter_reading import (
    Action,
    DeadLetterContents,
    DeadLetterGroup,
    DeadLetterView,
    StoredReport,
)
from semalink.application.reading import EventView
from semalink.web.field_types import Cursor, PageSize, Reason

QueueName = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
ErrorType = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
AgeSeconds = Annotated[int, msgspec.Meta(ge=0, le=10 * 366 * 86_400)]


class DeadLetterQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters are listed."""

    queue: QueueName | None = None
    error_type: ErrorType | None = None
    state: Literal["waiting", "republishing", "republished", "discarded"] | None = None
    older_than_seconds: AgeSeconds | None = None
    newer_than_seconds: AgeSeconds | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class GroupQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which waiting dead letters are counted."""

    queue: QueueName | None = None
    older_than_seconds: AgeSeconds | None = None
    newer_than_seconds: AgeSeconds | None = None


class DeadLetterPage(msgspec.Struct, frozen=True):
    """A page of dead letters, those published last first."""

    items: list[DeadLetterView]
    next_cursor: str | None


class DeadLetterGroups(msgspec.Struct, frozen=True):
    """Waiting dead letters by queue and error, the largest group first."""

    items: list[DeadLetterGroup]
    next_cursor: str | None = None


class RawBytes(msgspec.Struct, frozen=True):
    """Bytes as text where they are UTF-8, else in base64."""

    encoding: Literal["text", "base64"]
    content: str


class ReportBody(msgspec.Struct, frozen=True):
    """A delivery report as it came."""

    aggregator: str
    content_type: str
    received_at: datetime
    body: RawBytes


class DeadLetterDetail(msgspec.Struct, frozen=True):
    """One dead letter: what it holds, where it came from, and what was done."""

    letter: DeadLetterView
    subject: str
    payload: RawBytes
    #: What was last published instead; null: nothing else was.
    edited_payload: RawBytes | None
    headers: dict[str, str]
    #: The stored report that it is about; null when it is about none.
    report: ReportBody | None
    actions: list[Action]
    #: Every step of the message that it is about; empty when it is about none.
    message_events: list[EventView]


class Republication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is published; with nothing given, the same again."""

    payload: Annotated[str, msgspec.Meta(max_length=65_536)] | None = None
    #: Instead of payload, for what is no text.
    payload_base64: Annotated[str, msgspec.Meta(max_length=90_000)] | None = None
    #: The delivery report as it should have come, where it is about a stored one.
    report_body: Annotated[str, msgspec.Meta(max_length=48_000)] | None = None
    #: Whether one that went round before may go again.
    again: bool = False


class Discarding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a dead letter is not to be done."""

    reason: Reason


def detail_of(found: DeadLetterContents, events: list[EventView]) -> DeadLetterDetail:
    """Return a dead letter with what it holds, as it is shown."""
    report, edited = found.report, found.edited_payload
    return DeadLetterDetail(
        letter=found.letter,
        subject=found.subject,
        payload=raw(found.payload),
        edited_payload=None if edited is None else raw(edited),
        headers=found.headers,
        report=None if report is None else _shown(report),
        actions=[*found.actions],
        message_events=events,
    )


def _shown(report: StoredReport) -> ReportBody:
    return ReportBody(report.aggregator, report.content_type, report.received_at, raw(report.body))


def raw(content: bytes) -> RawBytes:
    """Return bytes as they are shown."""
    try:
        return RawBytes("text", content.decode())
    except UnicodeDecodeError:
        return RawBytes("base64", base64.b64encode(content).decode())
