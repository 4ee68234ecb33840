"""Contact lists, contacts and imports over HTTP."""

import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from semalink.domain.contact_import import RowCounts
from semalink.domain.contact_rows import RejectedRow
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, CONTACT_LIST_PREFIX, parse_id

FILE = b"phone,name\n0712345678,Wanjiku\n12,short\n"
CSV = {"content-type": "text/csv"}


def zipped(file: bytes) -> bytes:
    return gzip.compress(file, mtime=0)


class Customer:
    """One account that calls the API."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {key}"}

    async def ask(self, method: str, path: str, **said: Any) -> Any:
        headers = {**self._headers, **said.pop("headers", {})}
        return await self._client.request(
            method, f"/v1/contact-lists{path}", headers=headers, **said
        )

    async def new_list(self, name: str = "Shop") -> str:
        answer = await self.ask("POST", "", json={"name": name})
        assert answer.status_code == 201
        return str(answer.json()["id"])

    async def send(self, list_id: str, body: Any, **headers: str) -> Any:
        said = {**CSV, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.ask("POST", f"/{list_id}/imports", content=body, headers=said)


@pytest.fixture
def customer(api: Any, acme: Any) -> Customer:
    return Customer(api, acme.live)


async def test_lists_are_made_renamed_and_deleted(customer: Customer) -> None:
    first, second = await customer.new_list("One"), await customer.new_list("Two")

    renamed = await customer.ask("PATCH", f"/{first}", json={"name": "Uno"})
    page = (await customer.ask("GET", "?limit=1")).json()
    rest = (await customer.ask("GET", f"?limit=1&cursor={page['next_cursor']}")).json()
    deleted = await customer.ask("DELETE", f"/{second}")

    assert (renamed.json()["name"], renamed.json()["contact_count"]) == ("Uno", 0)
    assert [one["id"] for one in page["items"] + rest["items"]] == [second, first]
    assert rest["next_cursor"] is None
    assert deleted.status_code == 204
    assert (await customer.ask("GET", f"/{second}")).json()["code"] == "contact_list_not_found"


async def test_create_answers_a_repeated_key_with_the_first_list(customer: Customer) -> None:
    said = {"json": {"name": "Once"}, "headers": {"idempotency-key": "once"}}

    first, again = [await customer.ask("POST", "", **said) for _ in range(2)]
    await customer.ask("DELETE", f"/{first.json()['id']}")
    gone = await customer.ask("POST", "", **said)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert gone.json()["code"] == "contact_list_not_found"


async def test_list_of_another_account_is_not_found(
    platform: Any, api: Any, customer: Customer
) -> None:
    list_id = await customer.new_list()
    other = Customer(api, (await platform.open_tenant("Other")).live)

    for path in ("", "/contacts", "/contacts/0712345678", "/imports", "/imports/imp_1"):
        answer = await other.ask("GET", f"/{list_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "contact_list_not_found")


async def test_contacts_are_put_listed_and_removed(customer: Customer) -> None:
    list_id = await customer.new_list()
    path = f"/{list_id}/contacts"
    for number in ("0712345678", quote("+254733000001"), "254712000002"):
        said = await customer.ask("PUT", f"{path}/{number}", json={"attributes": {"a": number}})
        assert said.status_code == 200

    again = await customer.ask("PUT", f"{path}/0712345678", json={"attributes": {"b": "1"}})
    page = (await customer.ask("GET", f"{path}?limit=2")).json()
    rest = (await customer.ask("GET", f"{path}?limit=2&cursor={page['next_cursor']}")).json()
    airtel = (await customer.ask("GET", f"{path}?network=airtel")).json()
    one = (await customer.ask("GET", f"{path}?number=0712%20345678")).json()
    removed = await customer.ask("DELETE", f"{path}/0712345678")

    assert again.json()["attributes"] == {"b": "1"}
    numbers = [contact["number"] for contact in page["items"] + rest["items"]]
    assert numbers == ["+254712000002", "+254712345678", "+254733000001"]
    assert [contact["number"] for contact in airtel["items"]] == ["+254733000001"]
    assert [contact["number"] for contact in one["items"]] == ["+254712345678"]
    assert removed.status_code == 204


@pytest.mark.parametrize(
    ("method", "number", "code"),
    [
        ("GET", "0712345678", "contact_not_found"),
        ("GET", "12", "contact_not_found"),
        ("DELETE", "0712345678", "contact_not_found"),
        ("PUT", "12", "invalid_number"),
    ],
)
async def test_contact_that_is_not_there_is_not_found(
    customer: Customer, method: str, number: str, code: str
) -> None:
    list_id = await customer.new_list()
    said = {"json": {"attributes": {}}} if method == "PUT" else {}

    answer = await customer.ask(method, f"/{list_id}/contacts/{number}", **said)

    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("body", "headers", "file_format"),
    [
        (FILE, CSV, "csv"),
        (zipped(FILE), {**CSV, "content-encoding": "gzip"}, "csv"),
        (
            zipped(FILE[:20]) + zipped(FILE[20:]),
            {**CSV, "content-encoding": "gzip"},
            "csv",
        ),
        (
            b'{"number": "0712345678"}\n{"number": "12"}\n',
            {"content-type": "application/x-ndjson; charset=utf-8"},
            "ndjson",
        ),
    ],
)
async def test_import_takes_a_file_in(
    platform: Any, customer: Customer, body: bytes, headers: dict[str, str], file_format: str
) -> None:
    list_id = await customer.new_list()

    answer = await customer.ask("POST", f"/{list_id}/imports", content=body, headers=headers)

    started = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/contact-lists/{list_id}/imports/{started['id']}"
    assert (started["state"], started["format"]) == ("running", file_format)
    assert (started["rows"]["total"], started["rows"]["checked"]) == (2, 0)
    [pieces] = platform.contacts.pieces.values()
    assert [piece.row_count for piece in pieces] == [2]


async def test_import_is_followed_and_its_rejected_rows_are_downloaded(
    platform: Any, customer: Customer
) -> None:
    list_id = await customer.new_list()
    started = (await customer.send(list_id, FILE)).json()
    import_id = parse_id(CONTACT_IMPORT_PREFIX, started["id"])
    platform.contacts.counts[import_id] = RowCounts(added=1, invalid=1)
    platform.contacts.rejected[import_id] = [RejectedRow(3, "invalid_number", "Too, short.")]

    path = f"/{list_id}/imports/{started['id']}"
    read = await customer.ask("GET", path)
    rejected = await customer.ask("GET", f"{path}/rejected")
    page = await customer.ask("GET", f"/{list_id}/imports?limit=1")
    head = await customer.ask("HEAD", f"{path}/rejected")

    assert read.json()["rows"] == {
        "total": 2, "checked": 2, "added": 1, "updated": 0, "duplicate": 0, "invalid": 1,
    }  # fmt: skip
    assert rejected.headers["content-type"] == "text/csv; charset=utf-8"
    assert rejected.text == 'line,code,reason\r\n3,invalid_number,"Too, short."\r\n'
    assert page.json() == {"items": [read.json()], "next_cursor": None}
    assert head.text == ""


async def test_imports_are_listed_page_by_page(customer: Customer) -> None:
    list_id = await customer.new_list()
    ids = [(await customer.send(list_id, FILE)).json()["id"] for _ in range(2)]

    page = (await customer.ask("GET", f"/{list_id}/imports?limit=1")).json()
    link = f"/{list_id}/imports?limit=1&cursor={page['next_cursor']}"
    rest = (await customer.ask("GET", link)).json()

    assert [one["id"] for one in page["items"] + rest["items"]] == ids[::-1]


async def test_import_is_cancelled_once(customer: Customer) -> None:
    list_id = await customer.new_list()
    import_id = (await customer.send(list_id, FILE)).json()["id"]
    path = f"/{list_id}/imports/{import_id}/cancel"

    cancelled, again = await customer.ask("POST", path), await customer.ask("POST", path)

    assert cancelled.json()["state"] == "cancelled"
    assert again.json()["code"] == "contact_import_ended"


async def test_import_answers_a_repeated_key_with_the_first_import(
    platform: Any, customer: Customer
) -> None:
    list_id = await customer.new_list()

    first, again = [await customer.send(list_id, FILE, idempotency_key="once") for _ in range(2)]
    other = await customer.send(list_id, FILE + b"0722000001,x\n", idempotency_key="once")

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"
    assert len(platform.contacts.pieces) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 422, "contact_file_empty"),
        (b"phone\n", {}, 422, "contact_file_empty"),
        (b"name\nWanjiku\n", {}, 422, "number_column_missing"),
        (b"phone,1\n0712345678,a\n", {}, 422, "invalid_columns"),
        (b"phone" + b"," * 10**6 + b"\n", {}, 422, "line_too_long"),
        (b"phone" + b",a" * 1_000 + b"\n1\n", {}, 422, "invalid_columns"),
        (b"phone\n\xff\n", {}, 422, "invalid_encoding"),
        (b"phone\n\x00\n", {}, 422, "invalid_encoding"),
        (b'phone\n"0712345678\n', {}, 422, "unclosed_quote"),
        (b"phone\n" + b"7" * 70_000, {}, 422, "line_too_long"),
        (FILE, {"content_type": "application/json"}, 415, "unsupported_media_type"),
        (FILE, {"content_encoding": "br"}, 415, "unsupported_media_type"),
        (FILE, {"content_encoding": "gzip"}, 422, "invalid_compression"),
        (zipped(FILE)[:-9], {"content_encoding": "gzip"}, 422, "invalid_compression"),
        (
            zipped(b"phone\n" + b"0712345678\n" * 10**6),
            {"content_encoding": "gzip"},
            413,
            "body_too_large",
        ),
    ],
)
async def test_import_refuses_a_broken_file_and_keeps_nothing(
    platform: Any,
    customer: Customer,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    list_id = await customer.new_list()

    answer = await customer.send(list_id, body, **headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert platform.contacts.pieces == {}
    assert (await customer.ask("GET", f"/{list_id}/imports")).json()["items"] == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_contact_is_not_changed_while_an_import_changes_the_list(
    platform: Any, customer: Customer, method: str
) -> None:
    list_id = await customer.new_list()
    platform.contacts.busy.add(parse_id(CONTACT_LIST_PREFIX, list_id))
    said = {"json": {"attributes": {}}} if method == "PUT" else {}

    refused = await customer.ask(method, f"/{list_id}/contacts/0712345678", **said)

    assert (refused.status_code, refused.json()["code"]) == (409, "contact_list_busy")
    assert (await customer.ask("GET", f"/{list_id}/contacts")).json()["items"] == []


async def test_import_is_refused_while_twenty_are_under_way(
    platform: Any, customer: Customer
) -> None:
    list_id = await customer.new_list()
    ids = [(await customer.send(list_id, FILE)).json()["id"] for _ in range(20)]

    refused = await customer.send(list_id, FILE)
    await customer.ask("POST", f"/{list_id}/imports/{ids[0]}/cancel")
    taken = await customer.send(list_id, FILE)

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_contact_imports")
    assert taken.status_code == 202
    assert len(platform.contacts.pieces) == 21


@pytest.mark.parametrize("then", ["twenty are under way", "the list is deleted"])
async def test_import_answers_a_repeated_key_before_it_looks_at_any_other_rule(
    platform: Any, customer: Customer, then: str
) -> None:
    list_id = await customer.new_list()
    first = await customer.send(list_id, FILE, idempotency_key="imp-1")
    if then == "the list is deleted":
        await customer.ask("DELETE", f"/{list_id}")
    else:
        for _ in range(19):
            await customer.send(list_id, FILE)
    kept = len(platform.contacts.pieces)

    again = await customer.send(list_id, FILE, idempotency_key="imp-1")
    other = await customer.send(list_id, FILE, idempotency_key="imp-2")

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code in {404, 409}
    assert len(platform.contacts.pieces) == kept


async def test_import_keeps_nothing_when_the_client_goes_away(
    platform: Any, acme: Any, customer: Customer
) -> None:
    list_id = await customer.new_list()
    file = b"phone\n" + b"0712345678\n" * 6_000
    events = [
        {"type": "http.request", "body": file, "more_body": True},
        {"type": "http.disconnect"},
    ]
    kept: list[int] = []
    sent: list[Any] = []

    async def receive() -> Any:
        kept.append(len(platform.contacts.pieces))
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1/contact-lists/{list_id}/imports",
        "raw_path": b"",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {acme.live}".encode()),
            (b"content-type", b"text/csv"),
        ],
    }
    await platform.api()(scope, receive, send)

    assert kept == [0, 1]
    assert platform.contacts.pieces == {}
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("query", ["default_country=XX", "number_column=", "delimiter=x"])
async def test_import_refuses_an_option_that_it_does_not_know(
    customer: Customer, query: str
) -> None:
    list_id = await customer.new_list()

    answer = await customer.ask("POST", f"/{list_id}/imports?{query}", content=FILE, headers=CSV)

    assert answer.json()["code"] == "validation_failed"
    assert json.loads(answer.content)["errors"]
