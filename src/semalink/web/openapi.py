"""The OpenAPI 3.1 document, made from the very operations that the routes are made from."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from semalink.web import examples
from semalink.web.limiting import LIMIT_NOTES
from semalink.web.operation import Operation
from semalink.web.problem_type import ProblemType
from semalink.web.problem_types import PROBLEM_TYPES
from semalink.web.problems import MEDIA_TYPE, FieldProblem, Problem

Document = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+):str\}")
_REQUEST_ID_NOTE = "The id of the request: yours if X-Request-Id was fit to keep, else a new one."


def describe(
    operations: Iterable[Operation], *, title: str, description: str, keys: str
) -> Document:
    """Return the whole document of an application."""
    described = list(operations)
    tags = sorted({operation.tag for operation in described})
    paths: dict[str, Any] = defaultdict(dict)
    for operation in described:
        paths[operation.documented_path][operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": description,
            "license": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": tag, "description": _TAGS[tag]} for tag in tags],
        "paths": dict(paths),
        "components": _components(described, keys),
    }


_TAGS = {
    "Finance": "Months, statements, and what aggregators charged.",
    "Accounts": "Accounts, their keys, senders and routes.",
    "Campaigns": "One text to many: drafted, quoted, approved, sent and followed.",
    "Contacts": "Lists of whom you message, and files imported into them.",
    "Customers": "An agent's customers: their caps, their prices, the margin.",
    "Content rules": "What no message may say, and what was found.",
    "Credits": "What is paid for, and what is left.",
    "Dead letters": "What no worker could handle, and what is done about it.",
    "Delivery reports": "What aggregators say became of messages.",
    "Events": "What happened in your account, in one order without a gap.",
    "Health": "Whether this process works, and its figures.",
    "History": "Who did what, when and why, and what was refused.",
    "Messages": "Sending, pricing and following messages.",
    "Opt-outs": "Who is not to be messaged, and who may be again.",
    "Webhooks": "Your endpoints, what was sent to them, and what is sent again.",
    "Routes": "How routes to aggregators do, and what operators say of them.",
    "Sender ids": "Names that messages are sent under, their class, and their approval.",
    "Reference": "This document, and a page for every error.",
}


def _components(operations: list[Operation], keys: str) -> Document:
    shapes: list[Any] = [Problem, FieldProblem]
    for operation in operations:
        known = (operation.body, operation.success.shape)
        shapes += [shape for shape in known if isinstance(shape, type)]
    _, schemas = msgspec.json.schema_components(shapes, ref_template=_REF)
    components: Document = {
        "schemas": schemas,
        "headers": {
            "RequestId": {"description": _REQUEST_ID_NOTE, "schema": {"type": "string"}},
            "RetryAfter": {
                "description": "Seconds to wait before the next try.",
                "schema": {"type": "integer"},
            },
        },
        "parameters": {
            "RequestId": _header_parameter(
                "X-Request-Id",
                "Your own id for the request, kept with everything that the request causes: 1 to "
                "64 letters, digits, dots, hyphens and underscores. Any other is replaced.",
                "checkout-4711",
            ),
            "IdempotencyKey": _header_parameter(
                "Idempotency-Key",
                "Makes repetitions of a request one request: the same key and body get the first "
                "answer again. Bare or in double quotes.",
                "order-A-1042",
                pattern="^[!-~]([ -~]{0,253}[!-~])?$",
            ),
        },
    }
    if any(operation.scopes for operation in operations):
        components["securitySchemes"] = {
            "apiKey": {"type": "http", "scheme": "bearer", "description": keys}
        }
    return components


def _operation(operation: Operation) -> Document:
    described: Document = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation),
        "responses": {
            str(operation.success.status): _success(operation),
            **_error_responses(operation),
        },
        "security": [{"apiKey": []}] if operation.scopes else [],
    }
    if operation.scopes:
        scopes = ", ".join(f"`{scope}`" for scope in sorted(operation.scopes))
        described["description"] += f"\n\nThe key needs one of these scopes: {scopes}."
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {operation.body_media_type: _content(operation)},
        }
    return described


def _content(operation: Operation) -> Document:
    schema = operation.body
    if not isinstance(schema, Mapping):
        schema = _schema(operation.body)
    named = {name: {"value": value} for name, value in operation.body_examples.items()}
    return {"schema": schema, "examples": named}


def _parameters(operation: Operation) -> list[Document]:
    parameters: list[Document] = [{"$ref": "#/components/parameters/RequestId"}]
    if operation.takes_idempotency_key:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    parameters += [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "example": operation.path_examples[name],
        }
        for name in _PATH_PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        parameters += _query_parameters(operation)
    return parameters


def _query_parameters(operation: Operation) -> list[Document]:
    _, schemas = msgspec.json.schema_components([operation.query], ref_template=_REF)
    (schema,) = schemas.values()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": operation.query_notes[name],
            "schema": _without_null(facts),
        }
        for name, facts in schema["properties"].items()
    ]


def _without_null(schema: Document) -> Document:
    """Leave out null, which a query string cannot write."""
    kept = {key: value for key, value in schema.items() if key != "default" or value is not None}
    choices = kept.pop("anyOf", None)
    if choices is not None:
        (kept,) = [choice for choice in choices if choice != {"type": "null"}]
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    return kept


def _success(operation: Operation) -> Document:
    success = operation.success
    headers: Document = {
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
        "Request-Id": {"$ref": "#/components/headers/RequestId"},
    }
    for name, note in {**success.headers, **(LIMIT_NOTES if operation.counts else {})}.items():
        headers[name] = {"description": note, "schema": {"type": "string"}}
    described: Document = {"description": success.description, "headers": headers}
    if success.status != 204:
        schema = {"type": "string"} if success.shape is None else _schema(success.shape)
        content: Document = {"schema": schema}
        if success.example is not None:
            content["examples"] = {"typical": {"value": success.example}}
        described["content"] = {success.media_type: content}
    return described


def problem_codes(operation: Operation) -> list[str]:
    """Return the code of every error that an operation can answer with."""
    codes = [*operation.problems, "bad_request", "internal_error"]
    if operation.scopes:
        codes += ["missing_api_key", "invalid_api_key", "forbidden", "service_unavailable"]
        if operation.counts:
            codes.append("rate_limited")
        if operation.method in {"POST", "PUT", "DELETE"}:
            codes.append("outcome_in_doubt")
    if operation.body is not None:
        codes += ["body_too_large", "incomplete_body"]
        if operation.body_media_type == "application/json":
            codes += ["malformed_json", "unsupported_media_type", "validation_failed"]
    if operation.query is not None:
        codes.append("validation_failed")
    if operation.takes_idempotency_key:
        codes += ["invalid_idempotency_key", "idempotency_key_reused"]
    return sorted(set(codes))


def _error_responses(operation: Operation) -> Document:
    by_status: dict[int, list[ProblemType]] = defaultdict(list)
    for code in problem_codes(operation):
        by_status[PROBLEM_TYPES[code].status].append(PROBLEM_TYPES[code])
    return {str(status): _error(by_status[status]) for status in sorted(by_status)}


def _error(types: list[ProblemType]) -> Document:
    headers: Document = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    status = types[0].status
    if status in {429, 503}:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 429:
        for name, note in LIMIT_NOTES.items():
            headers[name] = {"description": note, "schema": {"type": "string"}}
    if status == 401:
        note = "How to authenticate."
        headers["WWW-Authenticate"] = {"description": note, "schema": {"type": "string"}}
    return {
        "description": "; ".join(f"{one.title} (`{one.code}`)" for one in types) + ".",
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": _schema(Problem),
                "examples": {one.code: {"value": example_problem(one)} for one in types},
            }
        },
    }


def example_problem(known: ProblemType) -> Document:
    """Return what an error of this type looks like."""
    return {
        "type": f"/problems/{known.code}",
        "title": known.title,
        "status": known.status,
        "detail": known.remedy,
        "instance": f"/requests/{examples.REQUEST_ID}",
        "code": known.code,
        "request_id": examples.REQUEST_ID,
        "retryable": known.retryable,
        "errors": [],
    }


def _schema(shape: Any) -> Document:
    (schema,), _ = msgspec.json.schema_components([shape], ref_template=_REF)
    return schema


def _header_parameter(
    name: str, description: str, example: str, *, pattern: str | None = None
) -> Document:
    schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
        "example": example,
    }
