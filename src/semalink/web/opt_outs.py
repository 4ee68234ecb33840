"""Opt-outs of the caller's account: recorded, read, lifted."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.opt_out_reading import OptOutFilter, OptOutReads, OptOutView
from semalink.application.opt_outs import LiftOptOut, RecordOptOuts
from semalink.domain.ids import OPT_OUT_PREFIX, parse_id
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.domain.opt_out_errors import OptOutNotFound
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.opt_out_shapes import (
    LIFTED,
    OPT_OUT,
    OPT_OUT_ID,
    OUTCOME,
    QUERY_NOTES,
    Lifting,
    NewOptOut,
    NewOptOuts,
    OptOutItem,
    OptOutQuery,
    OptOuts,
    OptOutsOutcome,
    number_of,
    numbers_of,
)
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

TAG = "Opt-outs"
READ = frozenset({"opt_outs:read"})
WRITE = frozenset({"opt_outs:write"})
OF_OPT_OUT = {"opt_out_id": OPT_OUT_ID}

_PATH = "/v1/opt-outs"
_ONE = f"{_PATH}/{{opt_out_id:str}}"
#: Every number may be of 64 characters, each escaped.
_BATCH_BYTES_MAX = 1024 * 1024

_new = msgspec.json.Decoder(NewOptOut)
_new_many = msgspec.json.Decoder(NewOptOuts)
_lifting = msgspec.json.Decoder(Lifting)

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listOptOuts",
    tag=TAG,
    summary="List opt-outs",
    description=(
        "Who is not to be messaged by your account, newest first. Numbers that opted out of a "
        "sender id that several accounts share are not listed; messages to them are refused."
    ),
    scopes=READ,
    query=OptOutQuery,
    query_notes=QUERY_NOTES,
    success=Success(
        200,
        "A page of opt-outs.",
        OptOuts,
        {"items": [OPT_OUT], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor", "invalid_number"),
)
CREATE = Operation(
    method="POST",
    path=_PATH,
    operation_id="createOptOut",
    tag=TAG,
    summary="Record an opt-out",
    description=(
        "From now on no message goes to the number: new ones are refused and cost nothing, and "
        "what waits is rejected and its credits released. Repeating it changes nothing. It holds "
        "for live and test keys alike."
    ),
    scopes=WRITE,
    body=NewOptOut,
    body_examples={
        "one sender id": {"number": "+254712345678", "sender": "ACME", "how": "asked by phone"},
        "all sender ids": {"number": "+254712345678"},
    },
    success=Success(
        201,
        "The opt-out holds.",
        OptOutView,
        OPT_OUT,
        headers={"Location": "Where the opt-out can be read."},
    ),
    problems=("invalid_number",),
)
CREATE_MANY = Operation(
    method="POST",
    path=f"{_PATH}/batch",
    operation_id="createOptOutBatch",
    tag=TAG,
    summary="Record up to 1,000 opt-outs",
    description=(
        "Records each number that is one, all in one decision; the answer has one item a number, "
        "in order. Repeating it changes nothing."
    ),
    scopes=WRITE,
    body=NewOptOuts,
    body_examples={"two numbers": {"numbers": ["+254712345678", "+1"], "how": "asked by phone"}},
    success=Success(200, "The numbers were decided.", OptOutsOutcome, OUTCOME),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getOptOut",
    tag=TAG,
    summary="Read an opt-out",
    description="The opt-out as it stands now.",
    scopes=READ,
    path_examples=OF_OPT_OUT,
    success=Success(200, "The opt-out.", OptOutView, OPT_OUT),
    problems=("opt_out_not_found",),
)
LIFT = Operation(
    method="POST",
    path=f"{_ONE}/lift",
    operation_id="liftOptOut",
    tag=TAG,
    summary="Lift an opt-out",
    description=(
        "The recipient may be messaged again. Where they opted out themselves, say how they "
        "agreed; an aggregator that blocks the number must be asked to stop that as well. Lifting "
        "twice changes nothing; the opt-out stays in the list as lifted. Test keys lift none."
    ),
    scopes=WRITE,
    path_examples=OF_OPT_OUT,
    body=Lifting,
    body_examples={
        "signed up again": {
            "reason": "signed up again",
            "consent": "form in the shop, 3 November",
        }
    },
    success=Success(200, "The opt-out as it is now.", OptOutView, LIFTED),
    problems=("opt_out_not_found", "consent_required"),
)


class OptOutPages:
    """Records, shows and lifts opt-outs of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._lister = OptOutLister(deps.opt_outs, deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of opt-outs."""
        query = read_query(request, OptOutQuery)
        account_id = arrival_of(request.scope).caller.account_id
        wanted = filter_of(query, account_id, self._deps.rules().default_country)
        return await self._lister.page(_PATH, query, wanted)

    async def create(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Record one opt-out."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new)
        number = number_of(asked.number, self._deps.rules().default_country)
        subject = OptOutSubject(arrival.caller.account_id, asked.sender or "", number)
        command = RecordOptOuts((subject,), OptOutSource.API, asked.how, arrival.cause)
        [recorded] = (await self._deps.ledger.execute(command)).value
        location = (b"location", f"{_PATH}/{recorded.view.id}".encode())
        return Reply(201, msgspec.json.encode(recorded.view), [location])

    async def create_many(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Record several opt-outs and say of each number what became of it."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new_many, bytes_max=_BATCH_BYTES_MAX)
        numbers, refused = numbers_of(asked.numbers, self._deps.rules().default_country)
        owner, sender = arrival.caller.account_id, asked.sender or ""
        subjects = [OptOutSubject(owner, sender, number) for number in numbers.values()]
        command = RecordOptOuts(subjects, OptOutSource.API, asked.how, arrival.cause)
        recorded = (await self._deps.ledger.execute(command)).value if subjects else []
        items = [OptOutItem(index, refused=why) for index, why in refused.items()]
        items += [
            OptOutItem(index, opt_out=one.view)
            for index, one in zip(numbers, recorded, strict=True)
        ]
        new_count = sum(one.is_new for one in recorded)
        items.sort(key=lambda item: item.index)
        outcome = OptOutsOutcome(new_count, len(recorded) - new_count, len(refused), items)
        return Reply(200, msgspec.json.encode(outcome))

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one opt-out."""
        account_id = arrival_of(request.scope).caller.account_id
        view = await self._deps.opt_outs.opt_out(opt_out_id_of(request), account_id)
        if view is None:
            raise OptOutNotFound
        return Reply(200, msgspec.json.encode(view))

    async def lift(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Lift one opt-out."""
        arrival = writing(request)
        asked = await read_json(request, _lifting)
        opt_out_id, owner = opt_out_id_of(request), arrival.caller.account_id
        command = LiftOptOut(opt_out_id, owner, asked.reason, asked.consent, arrival.cause)
        view = (await self._deps.ledger.execute(command)).value
        return Reply(200, msgspec.json.encode(view))


class OptOutLister:
    """Answers with pages of opt-outs."""

    def __init__(self, reads: OptOutReads, key_pepper: bytes) -> None:
        self._reads = reads
        self._cursors = Cursors(key_pepper)

    async def page(self, path: str, query: OptOutQuery, wanted: OptOutFilter) -> ASGIApp:
        """Answer with a page of what is wanted."""
        filters = f"{path}:{wanted}"
        place = self._cursors.read(query.cursor, filters)
        before = None if place is None else place.int
        found = await self._reads.opt_outs(wanted, before=before, limit=query.limit + 1)
        page = [view for _, view in found[: query.limit]]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(OptOuts(page, None)))
        cursor = self._cursors.write(UUID(int=found[query.limit - 1][0]), filters)
        body = msgspec.json.encode(OptOuts(page, cursor))
        return Reply(200, body, [next_link(path, query, cursor)])


def opt_out_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the opt-out that a path names; raises OptOutNotFound when it is no id."""
    opt_out_id = parse_id(OPT_OUT_PREFIX, request.path_params["opt_out_id"])
    if opt_out_id is None:
        raise OptOutNotFound
    return opt_out_id


def filter_of(query: OptOutQuery, account_id: UUID | None, default_country: str) -> OptOutFilter:
    """Return what a query asks of opt-outs; raises EdgeRefusal for what is no number."""
    return OptOutFilter(
        account_id=account_id,
        number=None if query.number is None else number_of(query.number, default_country),
        sender=query.sender,
        source=query.source,
        active=query.active,
    )


def opt_out_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of opt-outs."""
    pages = OptOutPages(deps)
    return [
        route(LIST, pages.list),
        route(CREATE, pages.create),
        route(CREATE_MANY, pages.create_many),
        route(READ_ONE, pages.read),
        route(LIFT, pages.lift),
    ]
