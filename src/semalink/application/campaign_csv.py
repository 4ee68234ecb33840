"""What became of every recipient of a campaign, as lines of a file for spreadsheets."""

from collections.abc import Iterable

from semalink.application.campaign_results import CampaignFacts, Outcome
from semalink.application.csv_cells import csv_lines, text_cell, time_cell
from semalink.application.left_out import reason_words
from semalink.domain.failure_codes import describe
from semalink.domain.ids import MESSAGE_PREFIX, format_id

HEADER = csv_lines(
    [
        (
            "recipient", "status", "failure_code", "failure", "segments", "price_micros",
            "charged_micros", "refunded_micros", "network", "submitted_at", "finished_at",
            "message_id",
        )
    ]
)  # fmt: skip

#: What follows the first four columns where nothing was sent.
_NOTHING = ("",) * 8

#: Why a recipient that was to get a message has none, by the state of the campaign.
_WITHOUT_MESSAGE = {"cancelled": "campaign_cancelled", "completed": "opted_out"}


def outcome_lines(facts: CampaignFacts, outcomes: Iterable[Outcome]) -> bytes:
    """Return a line for each recipient."""
    return csv_lines(_row(facts, outcome) for outcome in outcomes)


def _row(facts: CampaignFacts, outcome: Outcome) -> tuple[object, ...]:
    number, sent = text_cell(outcome.number), outcome.sent
    if sent is not None:
        code = sent.failure_code or ""
        return (
            number,
            sent.status,
            code,
            describe(code).detail if code else "",
            sent.segments,
            sent.price_micros,
            sent.charged_micros,
            sent.refunded_micros,
            text_cell(sent.network or ""),
            time_cell(sent.submitted_at),
            time_cell(sent.finished_at),
            format_id(MESSAGE_PREFIX, sent.message_id),
        )
    if outcome.reason is not None:
        return (number, "left_out", outcome.reason, reason_words(outcome.reason), *_NOTHING)
    if facts.is_archived:
        return (number, "archived", "", "", *_NOTHING)
    reason = _WITHOUT_MESSAGE.get(facts.state)
    if reason is not None and facts.is_listed:
        return (number, "not_sent", reason, reason_words(reason), *_NOTHING)
    return (number, "waiting", "", "", *_NOTHING)
