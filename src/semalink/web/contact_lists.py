"""Contact lists: made, listed, renamed, deleted."""

from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.contact_reading import ContactListView
from semalink.application.contacts import CreateContactList, DeleteContactList, RenameContactList
from semalink.domain.contact_errors import ContactListNotFound
from semalink.domain.ids import CONTACT_LIST_PREFIX, parse_id
from semalink.web import contact_examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.contact_shapes import (
    CURSOR_NOTE,
    LIST_PATH,
    LISTS_PATH,
    NEXT_NOTE,
    OF_LIST,
    READ,
    TAG,
    WRITE,
    ContactListName,
    ContactLists,
    ListQuery,
    list_id_of,
    list_of,
)
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

_name = msgspec.json.Decoder(ContactListName)

CREATE = Operation(
    method="POST",
    path=LISTS_PATH,
    operation_id="createContactList",
    tag=TAG,
    summary="Create a contact list",
    description="An empty list; contacts come by imports, or one by one.",
    scopes=WRITE,
    takes_idempotency_key=True,
    body=ContactListName,
    body_examples={"a newsletter": {"name": "Newsletter Nairobi"}},
    success=Success(
        201,
        "The list is there.",
        ContactListView,
        {**contact_examples.CONTACT_LIST, "contact_count": 0},
        headers={"Location": "Where the list can be read.", **REPLAYED_NOTE},
    ),
    problems=("contact_list_not_found",),
)
LIST = Operation(
    method="GET",
    path=LISTS_PATH,
    operation_id="listContactLists",
    tag=TAG,
    summary="List contact lists",
    description="The contact lists of your account, newest first.",
    scopes=READ,
    query=ListQuery,
    query_notes={"cursor": CURSOR_NOTE, "limit": "Lists a page."},
    success=Success(
        200,
        "A page of lists.",
        ContactLists,
        {"items": [contact_examples.CONTACT_LIST], "next_cursor": None},
        headers=NEXT_NOTE,
    ),
    problems=("invalid_cursor",),
)
READ_ONE = Operation(
    method="GET",
    path=LIST_PATH,
    operation_id="getContactList",
    tag=TAG,
    summary="Read a contact list",
    description="Its name, and how many contacts it holds.",
    scopes=READ,
    path_examples=OF_LIST,
    success=Success(200, "The list.", ContactListView, contact_examples.CONTACT_LIST),
    problems=("contact_list_not_found",),
)
RENAME = Operation(
    method="PATCH",
    path=LIST_PATH,
    operation_id="renameContactList",
    tag=TAG,
    summary="Rename a contact list",
    description="Gives the list another name; its id and its contacts stay. Test keys rename none.",
    scopes=WRITE,
    path_examples=OF_LIST,
    body=ContactListName,
    body_examples={"another name": {"name": "Newsletter Kenya"}},
    success=Success(
        200,
        "The list as it is now.",
        ContactListView,
        {**contact_examples.CONTACT_LIST, "name": "Newsletter Kenya"},
    ),
    problems=("contact_list_not_found",),
)
DELETE = Operation(
    method="DELETE",
    path=LIST_PATH,
    operation_id="deleteContactList",
    tag=TAG,
    summary="Delete a contact list",
    description=(
        "The list is gone at once, and its contacts are deleted within hours. An import that is "
        "under way fails with `list_deleted`; campaigns that started go on. Test keys delete "
        "none."
    ),
    scopes=WRITE,
    path_examples=OF_LIST,
    success=Success(204, "The list is gone."),
    problems=("contact_list_not_found",),
)


class ContactListPages:
    """Makes, shows and changes the lists of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def create(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Make an empty list."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _name)
        account_id = arrival.caller.account_id
        answer = await self._deps.ledger.execute(
            CreateContactList(
                self._deps.edge.new_id(arrival.at),
                account_id,
                asked.name,
                arrival.cause,
                idempotency_of(arrival, CREATE.route_name, asked),
            )
        )
        view = await self._deps.contacts.contact_list(answer.value, account_id)
        if view is None:
            # Repeated after the list was deleted.
            raise ContactListNotFound
        location = (b"location", f"{LISTS_PATH}/{view.id}".encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(201, msgspec.json.encode(view), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of lists."""
        query = read_query(request, ListQuery)
        account_id = arrival_of(request.scope).caller.account_id
        filters = f"{LISTS_PATH}:{account_id}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._deps.contacts.contact_lists(
            account_id, before=before, limit=query.limit + 1
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(ContactLists(page, None)))
        last_id = parse_id(CONTACT_LIST_PREFIX, page[-1].id)
        assert last_id is not None, "a list that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(ContactLists(page, cursor))
        return Reply(200, body, [next_link(LISTS_PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one list."""
        return Reply(200, msgspec.json.encode(await list_of(request, self._deps.contacts)))

    async def rename(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Give a list another name."""
        arrival = writing(request)
        asked = await read_json(request, _name)
        account_id = arrival.caller.account_id
        await self._deps.ledger.execute(
            RenameContactList(list_id_of(request), account_id, asked.name, arrival.cause)
        )
        return await self.read(request)

    async def delete(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Take a list away."""
        arrival = writing(request)
        account_id = arrival.caller.account_id
        await self._deps.ledger.execute(
            DeleteContactList(list_id_of(request), account_id, arrival.cause)
        )
        return Reply(204)


def contact_list_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of contact lists."""
    pages = ContactListPages(deps)
    return [
        route(CREATE, pages.create),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(RENAME, pages.rename),
        route(DELETE, pages.delete),
    ]
