"""Dead letters in PostgreSQL: what operators read."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from semalink.application.dead_letter_reading import (
    DeadLetterContents,
    DeadLetterFilter,
    DeadLetterGroup,
    DeadLetterView,
    JobView,
    StoredReport,
    action_of,
)
from semalink.application.dead_letters import REPORT_PREFIX
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.dead_letter_job import DEAD_LETTER_JOB_PREFIX
from semalink.domain.ids import format_id, parse_id
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.queries import Queries

_VIEW = """
dead_letter_id, queue, state, error_type, error, delivery_count, first_at, last_at, about,
message_id, republished_count, settled_by, settled_at, reason"""

_ASKED = """
    state <> 'arriving'
    AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    AND (%(error_type)s::text IS NULL OR error_type = %(error_type)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(before_at)s::timestamptz IS NULL OR last_at < %(before_at)s)
    AND (%(from_at)s::timestamptz IS NULL OR last_at >= %(from_at)s)"""

SELECT_PAGE = f"""
SELECT {_VIEW} FROM dead_letters
WHERE {_ASKED} AND (%(before)s::uuid IS NULL OR dead_letter_id < %(before)s)
ORDER BY dead_letter_id DESC LIMIT %(limit)s"""  # noqa: S608

SELECT_GROUPS = f"""
SELECT queue, error_type, error, count(*), min(last_at), max(last_at) FROM dead_letters
WHERE {_ASKED} AND state = 'waiting'
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 200"""  # noqa: S608

SELECT_CONTENTS = f"""
SELECT {_VIEW}, subject, payload, edited_payload, headers FROM dead_letters
WHERE dead_letter_id = %s AND state <> 'arriving'"""  # noqa: S608

SELECT_ACTIONS = """
SELECT topic, state FROM admin_events WHERE originator_id = %s ORDER BY originator_version"""

SELECT_REPORT = """
SELECT aggregator, content_type, body, received_at FROM inbound_reports WHERE report_id = %s"""

_JOB = """
job_id, action, state, queue, error_type, older_than_seconds, newer_than_seconds, rate_per_second,
reason, total_count, done_count, started_by, started_at, ended_at"""

SELECT_JOBS = f"""
SELECT {_JOB} FROM dead_letter_jobs
WHERE (%(before)s::uuid IS NULL OR job_id < %(before)s)
ORDER BY job_id DESC LIMIT %(limit)s"""  # noqa: S608

SELECT_JOB = f"SELECT {_JOB} FROM dead_letter_jobs WHERE job_id = %s"  # noqa: S608


class PostgresDeadLetters(Queries):
    """Reads of dead letters; each raises ReadsUnavailable while the database is away."""

    async def page(
        self, asked: DeadLetterFilter, *, before: UUID | None, limit: int
    ) -> Sequence[DeadLetterView]:
        """Return dead letters, those published last first, below the id ``before``."""
        parameters = {**_parameters(asked), "before": before, "limit": limit}
        return [_view(row) for row in await self._all(SELECT_PAGE, parameters)]

    async def groups(self, asked: DeadLetterFilter) -> Sequence[DeadLetterGroup]:
        """Return what waits, by queue and error, the largest group first."""
        rows = await self._all(SELECT_GROUPS, _parameters(asked))
        return [DeadLetterGroup(*row) for row in rows]

    async def contents(self, letter_id: UUID) -> DeadLetterContents | None:
        """Return one dead letter with what it holds."""
        rows = await self._all(SELECT_CONTENTS, (letter_id,))
        if not rows:
            return None
        *viewed, subject, payload, edited_payload, headers = rows[0]
        letter = _view(viewed)
        actions = await self._all(SELECT_ACTIONS, (letter_id,))
        return DeadLetterContents(
            letter=letter,
            subject=subject,
            payload=payload,
            edited_payload=edited_payload,
            headers=headers,
            actions=[action_of(EventMapper.read(topic, state)) for topic, state in actions],
            report=await self._report(letter.about),
        )

    async def jobs(self, *, before: UUID | None, limit: int) -> Sequence[JobView]:
        """Return bulk actions, newest first, below the id ``before``."""
        rows = await self._all(SELECT_JOBS, {"before": before, "limit": limit})
        return [_job(row) for row in rows]

    async def job(self, job_id: UUID) -> JobView | None:
        """Return one bulk action."""
        rows = await self._all(SELECT_JOB, (job_id,))
        return _job(rows[0]) if rows else None

    async def _report(self, about: str | None) -> StoredReport | None:
        report_id = parse_id(REPORT_PREFIX, about or "")
        rows = [] if report_id is None else await self._all(SELECT_REPORT, (report_id,))
        return StoredReport(*rows[0]) if rows else None


def _parameters(asked: DeadLetterFilter) -> dict[str, Any]:
    return {
        "queue": asked.queue,
        "error_type": asked.error_type,
        "state": asked.state,
        "before_at": asked.before_at,
        "from_at": asked.from_at,
    }


def _view(row: Sequence[Any]) -> DeadLetterView:
    letter_id, *rest = row
    return DeadLetterView(format_id(DEAD_LETTER_PREFIX, letter_id), *rest)


def _job(row: Sequence[Any]) -> JobView:
    job_id, *rest = row
    return JobView(format_id(DEAD_LETTER_JOB_PREFIX, job_id), *rest)
