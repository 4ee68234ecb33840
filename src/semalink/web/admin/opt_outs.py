"""Opt-outs of any account, and of the whole platform."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.opt_outs import LiftOptOut, RecordOptOuts
from semalink.domain.errors import AccountNotFound
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink.web import examples
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import account_uuid
from semalink.web.operation import route
from semalink.web.opt_out_shapes import (
    QUERY_NOTES,
    AnyOptOutQuery,
    Lifting,
    NewAnyOptOut,
    number_of,
)
from semalink.web.opt_outs import CREATE, LIFT, LIST, OptOutLister, filter_of, opt_out_id_of
from semalink.web.query import read_query
from semalink.web.reply import Reply

_PATH = "/admin/v1/opt-outs"
#: Operators write numbers as everybody can read them; without a calling code they are Kenyan.
_COUNTRY = "KE"

_new = msgspec.json.Decoder(NewAnyOptOut)
_lifting = msgspec.json.Decoder(Lifting)

LIST_ANY = replace(
    LIST,
    path=_PATH,
    operation_id="listAnyOptOuts",
    description="Opt-outs of all accounts and of the whole platform, newest first.",
    scopes=ANYONE,
    query=AnyOptOutQuery,
    query_notes={"account_id": "Only opt-outs of this account.", **QUERY_NOTES},
    problems=("invalid_cursor", "invalid_number", "account_not_found"),
)
CREATE_ANY = replace(
    CREATE,
    path=_PATH,
    operation_id="createAnyOptOut",
    description=(
        "As a customer does for its own account; without an account it holds for every account of "
        "the platform. Only operators lift such a one."
    ),
    scopes=OPERATIONS,
    body=NewAnyOptOut,
    body_examples={
        "an account": {
            "account_id": examples.ACCOUNT_ID,
            "number": "+254712345678",
            "how": "complaint 4711",
        },
        "the whole platform": {"number": "+254712345678", "how": "letter of the regulator"},
    },
    success=replace(CREATE.success, headers={}),
    problems=("invalid_number", "account_not_found"),
)
LIFT_ANY = replace(
    LIFT,
    path=f"{_PATH}/{{opt_out_id:str}}/lift",
    operation_id="liftAnyOptOut",
    scopes=OPERATIONS,
)


class AnyOptOuts:
    """Records, shows and lifts opt-outs of any account."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._lister = OptOutLister(deps.opt_outs, deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of opt-outs."""
        query = read_query(request, AnyOptOutQuery)
        account_id = None if query.account_id is None else account_uuid(query.account_id)
        return await self._lister.page(_PATH, query, filter_of(query, account_id, _COUNTRY))

    async def create(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Record one opt-out, of an account or of the whole platform."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new)
        account_id = None if asked.account_id is None else account_uuid(asked.account_id)
        if account_id is not None and await self._deps.reads.account(account_id) is None:
            raise AccountNotFound
        number = number_of(asked.number, _COUNTRY)
        subject = OptOutSubject(account_id, asked.sender or "", number)
        command = RecordOptOuts((subject,), OptOutSource.OPERATOR, asked.how, arrival.cause)
        [recorded] = (await self._deps.ledger.execute(command)).value
        return Reply(201, msgspec.json.encode(recorded.view))

    async def lift(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Lift one opt-out."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _lifting)
        opt_out_id = opt_out_id_of(request)
        command = LiftOptOut(opt_out_id, None, asked.reason, asked.consent, arrival.cause)
        view = (await self._deps.ledger.execute(command)).value
        return Reply(200, msgspec.json.encode(view))


def any_opt_out_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of any account's opt-outs."""
    pages = AnyOptOuts(deps)
    return [
        route(LIST_ANY, pages.list),
        route(CREATE_ANY, pages.create),
        route(LIFT_ANY, pages.lift),
    ]
