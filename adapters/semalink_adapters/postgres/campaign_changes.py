"""What events of campaigns do to their table, in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid5

import msgspec

from semalink.application.campaign_checking import FREEZE_TASK
from semalink.application.campaign_sending import PIECE_SIZE
from semalink.application.tasks import CONTENT_QUEUE
from semalink.domain.campaign import Campaign

#: SQL and its parameters.
Statement = tuple[str, tuple[Any, ...]]

INSERT_CAMPAIGN = """
INSERT INTO campaigns (
    campaign_id, account_id, billing_account_id, mode, state, plan, revision, created_by,
    created_at, changed_at)
VALUES (%s, %s, %s, %s, 'draft', %s::jsonb, 1, %s, %s, %s)"""

EDIT = """
UPDATE campaigns SET state = 'draft', plan = %s::jsonb, revision = %s, quote = NULL,
    problem_code = NULL, problem_detail = NULL, start_at = NULL, changed_at = %s
WHERE campaign_id = %s"""

START_CHECK = """
UPDATE campaigns SET state = 'checking', quote = NULL, problem_code = NULL, problem_detail = NULL,
    check_version = %s, checked_at = NULL, changed_at = %s
WHERE campaign_id = %s"""

# The check begins with its recipients being frozen; the worker names it by this version.
ADD_CHECK_TASK = """
INSERT INTO tasks (task_id, queue, kind, account_id, payload)
SELECT %s, %s, %s, account_id, %s::jsonb FROM campaigns WHERE campaign_id = %s
ON CONFLICT DO NOTHING"""

RECORD_CHECK = """
UPDATE campaigns SET state = 'draft', quote = %s::jsonb, checked_at = %s, changed_at = %s
WHERE campaign_id = %s"""

SEND_BACK = """
UPDATE campaigns SET state = 'draft', problem_code = %s, problem_detail = %s, start_at = NULL,
    changed_at = %s
WHERE campaign_id = %s"""

SCHEDULE = """
UPDATE campaigns SET state = %s, start_at = %s, claimed_until = NULL, changed_at = %s
WHERE campaign_id = %s"""

# The pieces are numbered by their first place, and one without recipients is soon done.
ADD_PIECES = """
INSERT INTO tasks (task_id, queue, kind, account_id, payload)
SELECT gen_random_uuid(), 'sms.content', 'accept_piece', c.account_id,
    jsonb_build_object('campaign_id', c.campaign_id, 'first', first, 'size', %s::int)
FROM campaigns AS c CROSS JOIN generate_series(
    0, (SELECT max(place) FROM campaign_recipients WHERE campaign_id = %s), %s) AS first
WHERE c.campaign_id = %s"""

# Delivered when the change is committed, and only then.
WAKE = "SELECT pg_notify('semalink_campaigns', '')"

START = """
UPDATE campaigns SET state = 'sending', message_count = %s, reserved_micros = %s, started_at = %s,
    changed_at = %s
WHERE campaign_id = %s"""

MOVE = "UPDATE campaigns SET state = %s, changed_at = %s WHERE campaign_id = %s"

COMPLETE = """
UPDATE campaigns SET state = 'completed', completed_at = %s, changed_at = %s
WHERE campaign_id = %s"""

SETTLE = """
UPDATE campaigns SET settled_at = %s, released_micros = %s WHERE campaign_id = %s"""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _created(event: Campaign.Created) -> Sequence[Statement]:
    parameters = (
        event.originator_id,
        event.account_id,
        event.billing_account_id,
        event.mode,
        _json(event.plan),
        event.actor,
        event.timestamp,
        event.timestamp,
    )
    return [(INSERT_CAMPAIGN, parameters)]


def _edited(event: Campaign.Edited) -> Sequence[Statement]:
    parameters = (_json(event.plan), event.revision, event.timestamp, event.originator_id)
    return [(EDIT, parameters)]


def _check_started(event: Campaign.CheckStarted) -> Sequence[Statement]:
    campaign_id, check = event.originator_id, event.originator_version
    task_id = uuid5(campaign_id, f"{FREEZE_TASK}:{check}")
    payload = _json({"campaign_id": campaign_id.hex, "check": check})
    task = (task_id, CONTENT_QUEUE, FREEZE_TASK, payload, campaign_id)
    return [(START_CHECK, (check, event.timestamp, campaign_id)), (ADD_CHECK_TASK, task)]


def _checked(event: Campaign.Checked) -> Sequence[Statement]:
    parameters = (_json(event.totals), event.timestamp, event.timestamp, event.originator_id)
    return [(RECORD_CHECK, parameters)]


def _sent_back(event: Campaign.SentBack) -> Sequence[Statement]:
    parameters = (event.code, event.detail, event.timestamp, event.originator_id)
    return [(SEND_BACK, parameters)]


def _scheduled(event: Campaign.Scheduled) -> Sequence[Statement]:
    parameters = ("scheduled", event.start_at, event.timestamp, event.originator_id)
    return [(SCHEDULE, parameters), (WAKE, ())]


def _approval_requested(event: Campaign.ApprovalRequested) -> Sequence[Statement]:
    parameters = ("awaiting_approval", event.start_at, event.timestamp, event.originator_id)
    return [(SCHEDULE, parameters)]


def _started(event: Campaign.Started) -> Sequence[Statement]:
    parameters = (
        event.message_count,
        event.reserved_micros,
        event.timestamp,
        event.timestamp,
        event.originator_id,
    )
    campaign_id = event.originator_id
    pieces = (PIECE_SIZE, campaign_id, PIECE_SIZE, campaign_id)
    return [(START, parameters), (ADD_PIECES, pieces), (WAKE, ())]


def _moved(state: str) -> Callable[[Any], Sequence[Statement]]:
    def move(event: Any) -> Sequence[Statement]:
        return [(MOVE, (state, event.timestamp, event.originator_id)), (WAKE, ())]

    return move


def _completed(event: Campaign.Completed) -> Sequence[Statement]:
    return [(COMPLETE, (event.timestamp, event.timestamp, event.originator_id))]


def _settled(event: Campaign.Settled) -> Sequence[Statement]:
    return [(SETTLE, (event.timestamp, event.released_micros, event.originator_id))]


#: The statements of each kind of event, in order.
CAMPAIGN_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    Campaign.Created: _created,
    Campaign.Edited: _edited,
    Campaign.CheckStarted: _check_started,
    Campaign.Checked: _checked,
    Campaign.SentBack: _sent_back,
    Campaign.ApprovalRequested: _approval_requested,
    Campaign.ApprovalWithdrawn: _moved("awaiting_approval"),
    Campaign.Scheduled: _scheduled,
    Campaign.Started: _started,
    Campaign.Paused: _moved("paused"),
    Campaign.Resumed: _moved("sending"),
    Campaign.Cancelled: _moved("cancelled"),
    Campaign.Completed: _completed,
    Campaign.Settled: _settled,
}
