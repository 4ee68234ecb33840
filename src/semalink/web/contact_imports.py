"""Imports of contacts: a file is taken in, followed, cancelled, and its rejected rows given out."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.contact_reading import ContactImportView, Contacts
from semalink.application.contacts import CancelContactImport, StartContactImport, check_running
from semalink.application.ledger import Answer, OutcomeInDoubt
from semalink.domain.contact_errors import ContactImportNotFound
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, parse_id
from semalink.web import contact_examples
from semalink.web.arrival import arrival_of
from semalink.web.contact_shapes import (
    CURSOR_NOTE,
    LIST_PATH,
    LISTS_PATH,
    NEXT_NOTE,
    OF_LIST,
    READ,
    TAG,
    WRITE,
    ContactImports,
    ImportQuery,
    ListQuery,
    import_id_of,
    list_id_of,
    list_of,
)
from semalink.web.contact_uploads import Upload, format_of
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.live_keys import writing
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.streamed import StreamedReply

_PATH = f"{LIST_PATH}/imports"
_ONE = f"{_PATH}/{{import_id:str}}"
OF_IMPORT = {**OF_LIST, "import_id": contact_examples.IMPORT_ID}
_FILE_PROBLEMS = (
    "contact_file_empty",
    "invalid_columns",
    "invalid_compression",
    "invalid_encoding",
    "line_too_long",
    "number_column_missing",
    "too_many_rows",
    "unclosed_quote",
    "unsupported_media_type",
)
_REJECTED_PAGE = 1_000

START = Operation(
    method="POST",
    path=_PATH,
    operation_id="importContacts",
    tag=TAG,
    summary="Import contacts",
    description=(
        "Takes in a file in UTF-8, as CSV with a header or as NDJSON with an object a line, plain "
        "or with `Content-Encoding: gzip`: up to 1,000,000 rows. It is read while it is sent, and "
        "what is wrong with the file as a whole is answered at once, with nothing imported. The "
        "rows are checked afterwards: numbers become E.164, rows of one number become one contact "
        "(the later row wins; an empty cell leaves what is there), and rows that cannot be "
        "contacts are listed with line and reason. Every column but the number is an attribute."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    path_examples=OF_LIST,
    query=ImportQuery,
    query_notes={
        "default_country": "Country of numbers that name none.",
        "number_column": (
            "The column of the phone numbers; without it, one that is named number, phone, "
            "msisdn, mobile or alike."
        ),
    },
    body={"type": "string"},
    body_media_type="text/csv",
    body_examples={"two contacts": contact_examples.CSV_FILE},
    success=Success(
        202,
        "The file is here; its rows are being checked.",
        ContactImportView,
        contact_examples.STARTED,
        headers={"Location": "Where the import can be followed.", **REPLAYED_NOTE},
    ),
    problems=("contact_list_not_found", "too_many_contact_imports", *_FILE_PROBLEMS),
)
LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listContactImports",
    tag=TAG,
    summary="List imports",
    description="The imports into a list, newest first.",
    scopes=READ,
    path_examples=OF_LIST,
    query=ListQuery,
    query_notes={"cursor": CURSOR_NOTE, "limit": "Imports a page."},
    success=Success(
        200,
        "A page of imports.",
        ContactImports,
        {"items": [contact_examples.IMPORT], "next_cursor": None},
        headers=NEXT_NOTE,
    ),
    problems=("contact_list_not_found", "invalid_cursor"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getContactImport",
    tag=TAG,
    summary="Follow an import",
    description="How far the import is; each row that was checked counts once.",
    scopes=READ,
    path_examples=OF_IMPORT,
    success=Success(200, "The import.", ContactImportView, contact_examples.IMPORT),
    problems=("contact_list_not_found", "contact_import_not_found"),
)
CANCEL = Operation(
    method="POST",
    path=f"{_ONE}/cancel",
    operation_id="cancelContactImport",
    tag=TAG,
    summary="Cancel an import",
    description=(
        "Rows that were not checked yet are dropped; contacts that were added stay. Test keys "
        "cancel none."
    ),
    scopes=WRITE,
    path_examples=OF_IMPORT,
    success=Success(200, "The import is cancelled.", ContactImportView, contact_examples.CANCELLED),
    problems=("contact_list_not_found", "contact_import_not_found", "contact_import_ended"),
)
REJECTED = Operation(
    method="GET",
    path=f"{_ONE}/rejected",
    operation_id="downloadRejectedRows",
    tag=TAG,
    summary="Download rejected rows",
    description=(
        "A CSV file of the rows that are no contacts: line of the file, code, and reason. It is "
        "kept for 30 days after the import."
    ),
    scopes=READ,
    path_examples=OF_IMPORT,
    success=Success(
        200, "The rejected rows.", None, contact_examples.REJECTED, media_type="text/csv"
    ),
    problems=("contact_list_not_found", "contact_import_not_found"),
)


class ContactImportPages:
    """Takes files in, and shows what becomes of them."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._contacts = deps.contacts
        self._cursors = Cursors(deps.key_pepper)

    async def start(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Take a file in."""
        query = read_query(request, ImportQuery)
        file_format = format_of(request)
        if b"idempotency-key" not in arrival_of(request.scope).headers:
            # Before the file comes. With a key the whole of it is part of the question whether this
            # was answered before, which goes before any other rule.
            await list_of(request, self._contacts)
            running_max = self._deps.upload_limits.running_max
            check_running(await self._running_count(request), running_max)
        import_id = self._deps.edge.new_id(arrival_of(request.scope).at)
        upload = Upload(self._contacts, import_id, query, file_format, self._deps.upload_limits)
        is_kept = False
        try:
            await upload.take(request)
            answer = await self._record(request, import_id, upload, query)
            is_kept = not answer.replayed
        except OutcomeInDoubt:
            # It may count. What does not is dropped when nobody has asked for it.
            is_kept = True
            raise
        finally:
            if not is_kept:
                await self._contacts.discard_upload(import_id)
        view = await self._import_of(answer.value, list_id_of(request))
        location = (b"location", f"{LISTS_PATH}/{view.list_id}/imports/{view.id}".encode())
        headers = (location, REPLAYED) if answer.replayed else (location,)
        return Reply(202, msgspec.json.encode(view), headers)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of imports."""
        query = read_query(request, ListQuery)
        await list_of(request, self._contacts)
        list_id = list_id_of(request)
        filters = f"{_PATH}:{list_id}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._contacts.contact_imports(list_id, before=before, limit=query.limit + 1)
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(ContactImports(page, None)))
        last_id = parse_id(CONTACT_IMPORT_PREFIX, page[-1].id)
        assert last_id is not None, "an import that was read has an id"
        cursor = self._cursors.write(last_id, filters)
        body = msgspec.json.encode(ContactImports(page, cursor))
        return Reply(200, body, [next_link(request.scope["path"], query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one import."""
        await list_of(request, self._contacts)
        view = await self._import_of(import_id_of(request), list_id_of(request))
        return Reply(200, msgspec.json.encode(view))

    async def cancel(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Stop an import where it is."""
        arrival = writing(request)
        await list_of(request, self._contacts)
        import_id, list_id = import_id_of(request), list_id_of(request)
        await self._deps.ledger.execute(
            CancelContactImport(import_id, list_id, arrival.caller.account_id, arrival.cause)
        )
        return Reply(200, msgspec.json.encode(await self._import_of(import_id, list_id)))

    async def rejected(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the rows that were rejected, as a file."""
        await list_of(request, self._contacts)
        import_id = import_id_of(request)
        view = await self._import_of(import_id, list_id_of(request))
        name = f'attachment; filename="{view.id}-rejected.csv"'.encode()
        return StreamedReply(
            rejected_lines(self._contacts, import_id),
            [(b"content-disposition", name)],
            media_type=b"text/csv; charset=utf-8",
        )

    async def _running_count(self, request: Request[Any, Any, Any]) -> int:
        account_id = arrival_of(request.scope).caller.account_id
        return await self._contacts.running_import_count(account_id)

    async def _record(
        self, request: Request[Any, Any, Any], import_id: UUID, upload: Upload, query: ImportQuery
    ) -> Answer[UUID]:
        arrival = arrival_of(request.scope)
        source = upload.source(list_id_of(request))
        asked = {
            "list_id": source.list_id,
            "sha256": source.sha256,
            "format": source.format,
            "query": query,
        }
        command = StartContactImport(
            import_id,
            arrival.caller.account_id,
            source,
            self._deps.edge.new_id(arrival.at),
            arrival.cause,
            idempotency_of(arrival, START.route_name, asked),
            running_count=await self._running_count(request),
            running_max=self._deps.upload_limits.running_max,
        )
        return await self._deps.ledger.execute(command)

    async def _import_of(self, import_id: UUID, list_id: UUID) -> ContactImportView:
        view = await self._contacts.contact_import(import_id, list_id)
        if view is None:
            raise ContactImportNotFound
        return view


async def rejected_lines(contacts: Contacts, import_id: UUID) -> AsyncIterator[bytes]:
    """Yield a file of the rows that were rejected, page by page."""
    yield b"line,code,reason\r\n"
    after_line = 0
    while page := await contacts.rejected_rows(
        import_id, after_line=after_line, limit=_REJECTED_PAGE
    ):
        text = io.StringIO()
        csv.writer(text).writerows((row.line, row.code, row.reason) for row in page)
        yield text.getvalue().encode()
        after_line = page[-1].line


def contact_import_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of imports."""
    pages = ContactImportPages(deps)
    return [
        route(START, pages.start),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(CANCEL, pages.cancel),
        route(REJECTED, pages.rejected),
    ]
