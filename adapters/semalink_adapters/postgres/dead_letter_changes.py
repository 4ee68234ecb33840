"""What events of dead letters do to the tables that are kept in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from semalink.application.dead_letters import REPORT_PREFIX
from semalink.application.tasks import TASK_PREFIX
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.dead_letter_job import DeadLetterJob
from semalink.domain.ids import MESSAGE_PREFIX, parse_id
from semalink_adapters.postgres.task_changes import PARK_TASK, UNPARK_TASK

Statement = tuple[str, tuple[Any, ...]]

BURY = "UPDATE dead_letters SET state = 'waiting' WHERE dead_letter_id = %s"

REPUBLISH = """
UPDATE dead_letters
SET state = 'republishing', republished_count = %s, edited_payload = %s, settled_by = %s,
    settled_at = %s
WHERE dead_letter_id = %s"""

DISCARD = """
UPDATE dead_letters SET state = 'discarded', settled_by = %s, settled_at = %s, reason = %s
WHERE dead_letter_id = %s"""

# Parked, so that the relay does not fill it into its queue again beside its dead letter.
PARK = """
UPDATE pending_submissions SET state = 'parked', due_at = NULL
WHERE message_id = %s AND state IN ('queued', 'waiting', 'postponed')"""

SET_ASIDE = "DELETE FROM pending_reports WHERE report_id = %s"

# From here on the relay answers for it again, should the broker lose it.
UNPARK = """
UPDATE pending_submissions
SET state = 'queued', due_at = NULL, queued_at = now(), refills = 0
WHERE message_id = %s AND state = 'parked'"""

TAKE_UP_AGAIN = """
INSERT INTO pending_reports (report_id, received_at, refilled_at)
SELECT report_id, received_at, now() FROM inbound_reports WHERE report_id = %s
ON CONFLICT DO NOTHING"""

# What is not to be done is not published again either.
DROP_TASK = """
DELETE FROM tasks AS t USING dead_letters AS d
WHERE d.dead_letter_id = %s AND t.state = 'parked'
  AND t.task_id = CASE WHEN d.about LIKE 'task@_%%' ESCAPE '@' THEN substr(d.about, 6)::uuid END"""

START_JOB = """
INSERT INTO dead_letter_jobs (
    job_id, action, queue, error_type, older_than_seconds, newer_than_seconds, rate_per_second,
    reason, started_by, started_at, total_count)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, count(*) FROM dead_letters
WHERE state = 'waiting'
  AND (%s::text IS NULL OR queue = %s) AND (%s::text IS NULL OR error_type = %s)
  AND (%s::timestamptz IS NULL OR last_at < %s) AND (%s::timestamptz IS NULL OR last_at >= %s)"""

COUNT_JOB = "UPDATE dead_letter_jobs SET done_count = done_count + 1 WHERE job_id = %s"

END_JOB = "UPDATE dead_letter_jobs SET state = %s, ended_at = %s WHERE job_id = %s"


def _buried(event: DeadLetter.Created) -> Sequence[Statement]:
    return [(BURY, (event.originator_id,)), *_of_subject(event.about, PARK, SET_ASIDE, PARK_TASK)]


def _republished(event: DeadLetter.Republished) -> Sequence[Statement]:
    parameters = (
        event.number,
        event.payload,
        event.actor,
        event.timestamp,
        event.originator_id,
    )
    return [
        (REPUBLISH, parameters),
        *_of_subject(event.about, UNPARK, TAKE_UP_AGAIN, UNPARK_TASK),
        *_counted(event.job_id),
    ]


def _discarded(event: DeadLetter.Discarded) -> Sequence[Statement]:
    parameters = (event.actor, event.timestamp, event.reason, event.originator_id)
    return [
        (DISCARD, parameters),
        (DROP_TASK, (event.originator_id,)),
        *_counted(event.job_id),
    ]


def _of_subject(
    about: str | None, of_message: str, of_report: str, of_task: str
) -> Sequence[Statement]:
    for prefix, statement in (
        (MESSAGE_PREFIX, of_message),
        (REPORT_PREFIX, of_report),
        (TASK_PREFIX, of_task),
    ):
        subject_id = parse_id(prefix, about or "")
        if subject_id is not None:
            return [(statement, (subject_id,))]
    return []


def _counted(job_id: UUID | None) -> Sequence[Statement]:
    return [] if job_id is None else [(COUNT_JOB, (job_id,))]


def _job_started(event: DeadLetterJob.Created) -> Sequence[Statement]:
    older, newer = event.older_than_seconds, event.newer_than_seconds
    before_at = None if older is None else event.timestamp - timedelta(seconds=older)
    from_at = None if newer is None else event.timestamp - timedelta(seconds=newer)
    parameters = (
        event.originator_id,
        event.action,
        event.queue,
        event.error_type,
        older,
        newer,
        event.rate_per_second,
        event.reason,
        event.actor,
        event.timestamp,
        *(each for each in (event.queue, event.error_type, before_at, from_at) for _ in range(2)),
    )
    return [(START_JOB, parameters)]


def _job_cancelled(event: DeadLetterJob.Cancelled) -> Sequence[Statement]:
    return [(END_JOB, ("cancelled", event.timestamp, event.originator_id))]


def _job_finished(event: DeadLetterJob.Finished) -> Sequence[Statement]:
    return [(END_JOB, ("finished", event.timestamp, event.originator_id))]


#: The statements of each kind of event, in order.
DEAD_LETTER_CHANGES: Mapping[type, Callable[[Any], Sequence[Statement]]] = {
    DeadLetter.Created: _buried,
    DeadLetter.Republished: _republished,
    DeadLetter.Discarded: _discarded,
    DeadLetterJob.Created: _job_started,
    DeadLetterJob.Cancelled: _job_cancelled,
    DeadLetterJob.Finished: _job_finished,
}
