"""Dead letters: what could not be done, why, and what an operator does about it."""

import base64
import binascii
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.dead_letter_reading import (
    DeadLetterContents,
    DeadLetterFilter,
    DeadLetterView,
)
from semalink.application.dead_letters import DiscardDeadLetter
from semalink.application.republishing import Edit, republishing_of
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.errors import DeadLetterNotFound
from semalink.domain.ids import MESSAGE_PREFIX, parse_id
from semalink.web import examples
from semalink.web.admin.dead_letter_shapes import (
    DeadLetterDetail,
    DeadLetterGroups,
    DeadLetterPage,
    DeadLetterQuery,
    Discarding,
    GroupQuery,
    Republication,
    detail_of,
)
from semalink.web.admin.roles import ADMIN, AUDITOR, OPERATIONS, OPS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import EdgeRefusal, FieldProblem
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

#: A payload may hold a customer's text or number, which is not for the accountants.
READERS = frozenset({ADMIN, OPS, AUDITOR})

_BODY_BYTES_MAX = 2 * 1024 * 1024


_republication = msgspec.json.Decoder(Republication)
_discarding = msgspec.json.Decoder(Discarding)
_PATH = "/admin/v1/dead-letters"
_ONE = f"{_PATH}/{{dead_letter_id:str}}"
_OF_LETTER = {"dead_letter_id": examples.DEAD_LETTER_ID}
_AGES = {
    "older_than_seconds": "Only those that were given up so long ago or longer.",
    "newer_than_seconds": "Only those that were given up within so long.",
}
_DETAIL = {
    "letter": examples.DEAD_LETTER,
    "subject": "sms.normal",
    "payload": {"encoding": "text", "content": '{"message_id": "oops"}'},
    "edited_payload": None,
    "headers": {"Sema-Origin-Stream": "SMS_NORMAL", "Sema-Origin-Seq": "17"},
    "report": None,
    "actions": [
        {
            "name": "dead_letter.buried",
            "at": "2026-11-25T08:15:05Z",
            "actor": "worker:dead-letters",
            "request_id": "job_01a21f3c5b0a7c3f9d0e1f2a3b4c5d6e",
            "new_message_id": None,
            "edited": False,
            "reason": None,
        }
    ],
    "message_events": [],
}

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listDeadLetters",
    tag="Dead letters",
    summary="List dead letters",
    description="Messages that no worker could handle, those published last first.",
    scopes=READERS,
    query=DeadLetterQuery,
    query_notes={
        "queue": "Only those of this queue, such as sms.normal.",
        "error_type": "Only those of this type of error.",
        "state": "Only those that stand so.",
        **_AGES,
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Dead letters a page.",
    },
    success=Success(
        200,
        "A page of dead letters.",
        DeadLetterPage,
        {"items": [examples.DEAD_LETTER], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
GROUPS = Operation(
    method="GET",
    path=f"{_PATH}/groups",
    operation_id="groupDeadLetters",
    tag="Dead letters",
    summary="Count dead letters by error",
    description="What waits, by queue and error, the largest group first; at most 200 groups.",
    scopes=READERS,
    query=GroupQuery,
    query_notes={"queue": "Only those of this queue.", **_AGES},
    success=Success(
        200,
        "The groups.",
        DeadLetterGroups,
        {
            "items": [
                {
                    "queue": "sms.normal",
                    "error_type": "PoisonMessage",
                    "error": "unreadable_job",
                    "count": 3,
                    "oldest_at": "2026-11-25T08:15:04Z",
                    "newest_at": "2026-11-25T08:20:10Z",
                }
            ],
            "next_cursor": None,
        },
    ),
)
READ = Operation(
    method="GET",
    path=_ONE,
    operation_id="getDeadLetter",
    tag="Dead letters",
    summary="Inspect a dead letter",
    description=(
        "What it holds as it came, its headers and cause, what was done with it, and every step "
        "of the message that it is about."
    ),
    scopes=READERS,
    path_examples=_OF_LETTER,
    success=Success(200, "The dead letter.", DeadLetterDetail, _DETAIL),
    problems=("dead_letter_not_found",),
)
REPUBLISH = Operation(
    method="POST",
    path=f"{_ONE}/republish",
    operation_id="republishDeadLetter",
    tag="Dead letters",
    summary="Republish a dead letter",
    description=(
        "Puts it back into its queue under a new id, as it was or edited; what was buried is "
        "kept. The decision is durable at once; the relay publishes it, until the broker has it."
    ),
    scopes=OPERATIONS,
    path_examples=_OF_LETTER,
    body=Republication,
    body_examples={
        "as it was": {},
        "edited": {"payload": '{"message_id": "01a21f3c-5b0a-7c3f-9d0e-1f2a3b4c5d6e"}'},
    },
    success=Success(
        200,
        "It goes round again.",
        DeadLetterView,
        {**examples.DEAD_LETTER, "state": "republishing", "republished_count": 1},
    ),
    problems=("dead_letter_not_found", "dead_letter_settled", "payload_too_large"),
)
DISCARD = Operation(
    method="POST",
    path=f"{_ONE}/discard",
    operation_id="discardDeadLetter",
    tag="Dead letters",
    summary="Discard a dead letter",
    description="Decides that it is not to be done. A message that it is about ends as expired.",
    scopes=OPERATIONS,
    path_examples=_OF_LETTER,
    body=Discarding,
    body_examples={"rehearsal": {"reason": "A rehearsal."}},
    success=Success(
        200,
        "It is settled.",
        DeadLetterView,
        {**examples.DEAD_LETTER, "state": "discarded", "reason": "A rehearsal."},
    ),
    problems=("dead_letter_not_found", "dead_letter_settled"),
)


class DeadLetterPages:
    """Lists, shows and settles dead letters."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of dead letters."""
        query = read_query(request, DeadLetterQuery)
        filters = f"{LIST.path}:{msgspec.structs.replace(query, cursor=None, limit=1)}"
        before = self._cursors.read(query.cursor, filters)
        before_at, from_at = _bounds(arrival_of(request.scope).at, query)
        asked = DeadLetterFilter(query.queue, query.error_type, query.state, before_at, from_at)
        found = await self._deps.dead_letters.page(asked, before=before, limit=query.limit + 1)
        page = [*found[: query.limit]]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(DeadLetterPage(page, None)))
        last_id = parse_id(DEAD_LETTER_PREFIX, page[-1].id)
        assert last_id is not None, "a dead letter that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(DeadLetterPage(page, cursor))
        return Reply(200, body, [next_link(LIST.path, query, cursor)])

    async def groups(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what waits, by error."""
        query = read_query(request, GroupQuery)
        before_at, from_at = _bounds(arrival_of(request.scope).at, query)
        asked = DeadLetterFilter(query.queue, before_at=before_at, from_at=from_at)
        found = await self._deps.dead_letters.groups(asked)
        return Reply(200, msgspec.json.encode(DeadLetterGroups([*found])))

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one dead letter."""
        _, found = await self._find(request)
        message_id = parse_id(MESSAGE_PREFIX, found.letter.about or "")
        events = None
        if message_id is not None:
            events = await self._deps.reads.history(message_id, None)
        return Reply(200, msgspec.json.encode(detail_of(found, events or [])))

    async def republish(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Send it round again."""
        asked = await read_json(request, _republication, bytes_max=_BODY_BYTES_MAX)
        letter_id, found = await self._find(request)
        arrival = arrival_of(request.scope)
        edit = _edit_of(asked, found)
        new_report_id = self._deps.edge.new_id(arrival.at)
        command = republishing_of(found, letter_id, edit, arrival.cause, new_report_id)
        await self._deps.ledger.execute(command)
        return await self._show(letter_id)

    async def discard(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Settle it undone."""
        asked = await read_json(request, _discarding)
        letter_id, _ = await self._find(request)
        cause = arrival_of(request.scope).cause
        await self._deps.ledger.execute(DiscardDeadLetter(letter_id, asked.reason, cause))
        return await self._show(letter_id)

    async def _show(self, letter_id: UUID) -> ASGIApp:
        found = await self._deps.dead_letters.contents(letter_id)
        assert found is not None, "a dead letter that was settled can be read"
        return Reply(200, msgspec.json.encode(found.letter))

    async def _find(self, request: Request[Any, Any, Any]) -> tuple[UUID, DeadLetterContents]:
        letter_id = parse_id(DEAD_LETTER_PREFIX, request.path_params["dead_letter_id"])
        found = None if letter_id is None else await self._deps.dead_letters.contents(letter_id)
        if letter_id is None or found is None:
            raise DeadLetterNotFound
        return letter_id, found


def _bounds(
    now: datetime, query: DeadLetterQuery | GroupQuery
) -> tuple[datetime | None, datetime | None]:
    older, newer = query.older_than_seconds, query.newer_than_seconds
    return (
        None if older is None else now - timedelta(seconds=older),
        None if newer is None else now - timedelta(seconds=newer),
    )


def _edit_of(asked: Republication, found: DeadLetterContents) -> Edit:
    given = (asked.payload, asked.payload_base64, asked.report_body)
    if sum(each is not None for each in given) > 1:
        raise _refused("/payload", "Only one of the three may be given.")
    edit = Edit(again=asked.again)
    if asked.payload is not None:
        return replace(edit, payload=asked.payload.encode())
    if asked.payload_base64 is not None:
        try:
            content = base64.b64decode(asked.payload_base64, validate=True)
        except (binascii.Error, ValueError):
            raise _refused("/payload_base64", "It is no base64.") from None
        return replace(edit, payload=content)
    if asked.report_body is None:
        return edit
    if found.report is None:
        raise _refused("/report_body", "This dead letter is about no stored report.")
    return replace(edit, report_body=asked.report_body.encode())


def _refused(pointer: str, detail: str) -> EdgeRefusal:
    problem = FieldProblem(pointer, "invalid_value", detail)
    return EdgeRefusal("validation_failed", "1 of the fields is not valid.", errors=[problem])


def dead_letter_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of dead letters."""
    pages = DeadLetterPages(deps)
    return [
        route(LIST, pages.list),
        route(GROUPS, pages.groups),
        route(READ, pages.read),
        route(REPUBLISH, pages.republish),
        route(DISCARD, pages.discard),
    ]
