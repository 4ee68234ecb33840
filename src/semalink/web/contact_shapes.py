"""Shapes of contact lists and imports, and the ids in their paths."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request

from semalink.application.contact_reading import (
    ContactImportView,
    ContactListView,
    Contacts,
    ContactView,
)
from semalink.domain.contact_errors import (
    ContactImportNotFound,
    ContactListNotFound,
    ContactNotFound,
)
from semalink.domain.errors import InvalidNumber
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, CONTACT_LIST_PREFIX, parse_id
from semalink.domain.phone_number import PhoneNumber, parse
from semalink.web import contact_examples
from semalink.web.arrival import arrival_of
from semalink.web.field_types import Cursor, Name, PageSize

TAG = "Contacts"
READ = frozenset({"contacts:read"})
WRITE = frozenset({"contacts:write"})
LISTS_PATH = "/v1/contact-lists"
LIST_PATH = f"{LISTS_PATH}/{{list_id:str}}"
OF_LIST = {"list_id": contact_examples.LIST_ID}
NEXT_NOTE = {"Link": 'The next page, rel="next"; absent on the last.'}
CURSOR_NOTE = "The next_cursor of the page before."

NumberText = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
AttributeText = Annotated[str, msgspec.Meta(max_length=500, pattern="^[^\\u0000]*$")]
AttributeName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=40, pattern="^[A-Za-z_][A-Za-z0-9_]*$")
]


class ContactListName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list is called."""

    name: Name


class ContactLists(msgspec.Struct, frozen=True):
    """A page of lists, newest first."""

    items: list[ContactListView]
    next_cursor: str | None


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page is listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


class ContactAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a contact, for templates."""

    attributes: Annotated[dict[AttributeName, AttributeText], msgspec.Meta(max_length=50)] = (
        msgspec.field(default_factory=dict)
    )


class ContactPage(msgspec.Struct, frozen=True):
    """A page of contacts, in the order of their numbers."""

    items: list[ContactView]
    next_cursor: str | None


class ContactQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which contacts are listed."""

    number: NumberText | None = None
    network: Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,40}$")] | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class ContactImports(msgspec.Struct, frozen=True):
    """A page of imports, newest first."""

    items: list[ContactImportView]
    next_cursor: str | None


class ImportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file of contacts is read."""

    default_country: Literal["KE", "TZ", "UG", "RW", "ET"] = "KE"
    number_column: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


async def list_of(request: Request[Any, Any, Any], contacts: Contacts) -> ContactListView:
    """Return the list that a path names; raises ContactListNotFound for another account's."""
    account_id = arrival_of(request.scope).caller.account_id
    view = await contacts.contact_list(list_id_of(request), account_id)
    if view is None:
        raise ContactListNotFound
    return view


def list_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the id in a path; raises ContactListNotFound when it is none of a list."""
    list_id = parse_id(CONTACT_LIST_PREFIX, request.path_params["list_id"])
    if list_id is None:
        raise ContactListNotFound
    return list_id


def import_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the id in a path; raises ContactImportNotFound when it is none of an import."""
    import_id = parse_id(CONTACT_IMPORT_PREFIX, request.path_params["import_id"])
    if import_id is None:
        raise ContactImportNotFound
    return import_id


def number_in_path(request: Request[Any, Any, Any]) -> PhoneNumber:
    """Return the number that a path names; raises InvalidNumber."""
    return parse(request.path_params["number"][:64])


def known_number(request: Request[Any, Any, Any]) -> str:
    """Return the number that a path names; raises ContactNotFound when no list can hold it."""
    try:
        return number_in_path(request).e164
    except InvalidNumber:
        raise ContactNotFound from None
