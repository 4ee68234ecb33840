"""Contacts of a list: listed, put on it, taken off it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.contact_reading import ContactView
from semalink.domain.contact_errors import ContactNotFound
from semalink.domain.phone_number import parse
from semalink.web import contact_examples
from semalink.web.body import read_json
from semalink.web.contact_shapes import (
    CURSOR_NOTE,
    LIST_PATH,
    NEXT_NOTE,
    OF_LIST,
    READ,
    TAG,
    WRITE,
    ContactAttributes,
    ContactPage,
    ContactQuery,
    known_number,
    list_id_of,
    list_of,
    number_in_path,
)
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

_PATH = f"{LIST_PATH}/contacts"
_ONE = f"{_PATH}/{{number:str}}"
OF_CONTACT = {**OF_LIST, "number": contact_examples.NUMBER}

_attributes = msgspec.json.Decoder(ContactAttributes)

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listContacts",
    tag=TAG,
    summary="List contacts",
    description="The contacts of a list, in the order of their numbers.",
    scopes=READ,
    path_examples=OF_LIST,
    query=ContactQuery,
    query_notes={
        "number": "The contact with this number alone, however it is written.",
        "network": "Contacts of this network alone, such as safaricom.",
        "cursor": CURSOR_NOTE,
        "limit": "Contacts a page.",
    },
    success=Success(
        200,
        "A page of contacts.",
        ContactPage,
        {"items": [contact_examples.CONTACT], "next_cursor": None},
        headers=NEXT_NOTE,
    ),
    problems=("contact_list_not_found", "invalid_cursor", "invalid_number"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getContact",
    tag=TAG,
    summary="Read a contact",
    description="One contact by its number, whose plus sign may be written as %2B or left out.",
    scopes=READ,
    path_examples=OF_CONTACT,
    success=Success(200, "The contact.", ContactView, contact_examples.CONTACT),
    problems=("contact_list_not_found", "contact_not_found"),
)
PUT = Operation(
    method="PUT",
    path=_ONE,
    operation_id="putContact",
    tag=TAG,
    summary="Put a contact on a list",
    description=(
        "Adds the contact, or replaces all attributes of the one that has the number. Repeated, "
        "it changes nothing."
    ),
    scopes=WRITE,
    path_examples=OF_CONTACT,
    body=ContactAttributes,
    body_examples={"with a name": {"attributes": {"name": "Wanjiku", "town": "Nakuru"}}},
    success=Success(200, "The contact as it is now.", ContactView, contact_examples.CONTACT),
    problems=(
        "contact_list_not_found",
        "contact_list_busy",
        "contact_not_found",
        "invalid_number",
    ),
)
REMOVE = Operation(
    method="DELETE",
    path=_ONE,
    operation_id="removeContact",
    tag=TAG,
    summary="Take a contact off a list",
    description=(
        "The contact is deleted. Who wants no messages any more belongs into the opt-outs: an "
        "import may bring the number again. Test keys delete none."
    ),
    scopes=WRITE,
    path_examples=OF_CONTACT,
    success=Success(204, "The contact is gone."),
    problems=("contact_list_not_found", "contact_list_busy", "contact_not_found"),
)


class ContactPages:
    """Shows and changes the contacts of the caller's lists."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._contacts = deps.contacts
        self._cursors = Cursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of contacts."""
        query = read_query(request, ContactQuery)
        view = await list_of(request, self._contacts)
        number = None if query.number is None else parse(query.number).e164
        filters = f"{_PATH}:{view.id}:{number}:{query.network}"
        after = self._cursors.read(query.cursor, filters)
        found = await self._contacts.contacts(
            list_id_of(request),
            after=None if after is None else _number_of(after),
            limit=query.limit + 1,
            number=number,
            network=query.network,
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(ContactPage(page, None)))
        cursor = self._cursors.write(_place_of(page[-1].number), filters)
        body = msgspec.json.encode(ContactPage(page, cursor))
        path = request.scope["path"]
        return Reply(200, body, [next_link(path, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one contact."""
        await list_of(request, self._contacts)
        return await self._shown(list_id_of(request), known_number(request))

    async def put(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Add a contact, or give it other attributes."""
        asked = await read_json(request, _attributes)
        await list_of(request, self._contacts)
        number, list_id = number_in_path(request), list_id_of(request)
        await self._contacts.put_contact(list_id, number, asked.attributes)
        return await self._shown(list_id, number.e164)

    async def remove(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Take a contact off its list."""
        writing(request)
        await list_of(request, self._contacts)
        if not await self._contacts.remove_contact(list_id_of(request), known_number(request)):
            raise ContactNotFound
        return Reply(204)

    async def _shown(self, list_id: UUID, number: str) -> ASGIApp:
        found = await self._contacts.contacts(list_id, after=None, limit=1, number=number)
        if not found:
            raise ContactNotFound
        return Reply(200, msgspec.json.encode(found[0]))


def _place_of(number: str) -> UUID:
    """Return a number as cursors hold a place."""
    return UUID(int=int(number.removeprefix("+")))


def _number_of(place: UUID) -> str:
    return f"+{place.int}"


def contact_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of contacts."""
    pages = ContactPages(deps)
    return [
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(PUT, pages.put),
        route(REMOVE, pages.remove),
    ]
