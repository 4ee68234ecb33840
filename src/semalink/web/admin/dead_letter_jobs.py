"""Bulk actions on dead letters: started, followed, cancelled."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.dead_letter_reading import JobView
from semalink.application.dead_letters import CancelDeadLetterJob, JobPlan, StartDeadLetterJob
from semalink.domain.dead_letter_job import DEAD_LETTER_JOB_PREFIX
from semalink.domain.errors import DeadLetterJobNotFound
from semalink.domain.ids import parse_id
from semalink.web import examples
from semalink.web.admin.dead_letter_shapes import AgeSeconds, ErrorType, QueueName
from semalink.web.admin.dead_letters import READERS
from semalink.web.admin.roles import OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import Cursor, PageSize, Reason
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply


class JobFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the dead letters that wait now are meant; nothing given: all."""

    queue: QueueName | None = None
    error_type: ErrorType | None = None
    older_than_seconds: AgeSeconds | None = None
    newer_than_seconds: AgeSeconds | None = None


class NewJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bulk action to be begun."""

    action: Literal["republish", "discard"]
    filter: JobFilter
    rate_per_second: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 10
    #: Why what is discarded is not to be done; needed for that.
    reason: Reason | None = None


class JobQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which bulk actions are listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


class Jobs(msgspec.Struct, frozen=True):
    """A page of bulk actions, newest first."""

    items: list[JobView]
    next_cursor: str | None


_new_job = msgspec.json.Decoder(NewJob)
_PATH = "/admin/v1/dead-letter-jobs"
_ONE = f"{_PATH}/{{job_id:str}}"
_OF_JOB = {"job_id": examples.DEAD_LETTER_JOB["id"]}

START = Operation(
    method="POST",
    path=_PATH,
    operation_id="startDeadLetterJob",
    tag="Dead letters",
    summary="Republish or discard many dead letters",
    description=(
        "Does it to every dead letter that waits now and fits, at the rate given; what comes "
        "later is not touched, nor what comes back."
    ),
    scopes=OPERATIONS,
    body=NewJob,
    body_examples={
        "mended": {
            "action": "republish",
            "filter": {"queue": "sms.normal", "error_type": "PoisonMessage"},
            "rate_per_second": 20,
        }
    },
    success=Success(201, "It is under way.", JobView, examples.DEAD_LETTER_JOB),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listDeadLetterJobs",
    tag="Dead letters",
    summary="List bulk actions",
    description="Bulk actions on dead letters, newest first.",
    scopes=READERS,
    query=JobQuery,
    query_notes={
        "cursor": "The next_cursor of the page before.",
        "limit": "Bulk actions a page.",
    },
    success=Success(
        200,
        "A page of bulk actions.",
        Jobs,
        {"items": [examples.DEAD_LETTER_JOB], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ = Operation(
    method="GET",
    path=_ONE,
    operation_id="getDeadLetterJob",
    tag="Dead letters",
    summary="Follow a bulk action",
    description="What it does, and how many dead letters it has done.",
    scopes=READERS,
    path_examples=_OF_JOB,
    success=Success(200, "The bulk action.", JobView, examples.DEAD_LETTER_JOB),
    problems=("dead_letter_job_not_found",),
)
CANCEL = Operation(
    method="POST",
    path=f"{_ONE}/cancel",
    operation_id="cancelDeadLetterJob",
    tag="Dead letters",
    summary="Cancel a bulk action",
    description="Stops it where it is; what was done stays done.",
    scopes=OPERATIONS,
    path_examples=_OF_JOB,
    success=Success(
        200,
        "It is stopped.",
        JobView,
        {**examples.DEAD_LETTER_JOB, "state": "cancelled", "ended_at": "2026-11-25T09:00:07Z"},
    ),
    problems=("dead_letter_job_not_found", "dead_letter_job_ended"),
)


class DeadLetterJobPages:
    """Starts, shows and cancels bulk actions."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def start(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Begin one."""
        asked = await read_json(request, _new_job)
        if asked.action == "discard" and asked.reason is None:
            problem = FieldProblem("/reason", "required", "Discarding needs a reason.")
            detail = "1 of the fields is not valid."
            raise EdgeRefusal("validation_failed", detail, errors=[problem])
        arrival = arrival_of(request.scope)
        job_id = self._deps.edge.new_id(arrival.at)
        plan = JobPlan(
            action=asked.action,
            rate_per_second=asked.rate_per_second,
            reason=asked.reason,
            **msgspec.structs.asdict(asked.filter),
        )
        await self._deps.ledger.execute(StartDeadLetterJob(job_id, plan, arrival.cause))
        return await self._show(201, job_id)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of bulk actions."""
        query = read_query(request, JobQuery)
        before = self._cursors.read(query.cursor, LIST.path)
        found = await self._deps.dead_letters.jobs(before=before, limit=query.limit + 1)
        page = [*found[: query.limit]]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(Jobs(page, None)))
        cursor = self._cursors.write(_job_uuid(page[-1].id), LIST.path)
        body = msgspec.json.encode(Jobs(page, cursor))
        return Reply(200, body, [next_link(LIST.path, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one bulk action."""
        return await self._show(200, _job_uuid(request.path_params["job_id"]))

    async def cancel(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Stop one."""
        job_id = _job_uuid(request.path_params["job_id"])
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(CancelDeadLetterJob(job_id, cause))
        return await self._show(200, job_id)

    async def _show(self, status: int, job_id: UUID) -> ASGIApp:
        found = await self._deps.dead_letters.job(job_id)
        if found is None:
            raise DeadLetterJobNotFound
        return Reply(status, msgspec.json.encode(found))


def _job_uuid(text: str) -> UUID:
    job_id = parse_id(DEAD_LETTER_JOB_PREFIX, text)
    if job_id is None:
        raise DeadLetterJobNotFound
    return job_id


def dead_letter_job_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of bulk actions on dead letters."""
    pages = DeadLetterJobPages(deps)
    return [
        route(START, pages.start),
        route(LIST, pages.list),
        route(READ, pages.read),
        route(CANCEL, pages.cancel),
    ]
