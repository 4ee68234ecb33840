"""What an operation of an API is: its route, its rights, its shapes, its errors, its page."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Method

from semalink.web.reply import Reply

Answer = Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]

_OPT = "operation"


@dataclass(frozen=True, slots=True)
class Success:
    """A successful answer: what it means, its shape and an example of it."""

    status: int
    description: str
    shape: Any = None
    example: Any = None
    #: Names of headers beside those of every answer, with what they say.
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: the route is made from it, and so is its part of the OpenAPI document."""

    method: str
    path: str
    operation_id: str
    tag: str
    summary: str
    description: str
    success: Success
    #: The key must have one of these; none: the operation is public.
    scopes: frozenset[str] = frozenset()
    #: Struct of the JSON body, or the schema of a body of another type.
    body: Any = None
    body_media_type: str = "application/json"
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    takes_idempotency_key: bool = False
    #: An example of each path parameter, by name.
    path_examples: Mapping[str, str] = field(default_factory=dict)
    #: Struct that the query string is read into, and a note on each of its fields.
    query: Any = None
    query_notes: Mapping[str, str] = field(default_factory=dict)
    #: Codes of the errors beside those that every such operation has.
    problems: tuple[str, ...] = ()
    #: Whether it lets in messages, as many as the body holds, rather than one request.
    counts_messages: bool = False

    @property
    def counts(self) -> str:
        """What a rate limit counts: "messages" or "requests"; "" for operators and the public."""
        # A customer's scopes are of the form messages:send, an operator's are roles.
        if not any(":" in scope for scope in self.scopes):
            return ""
        return "messages" if self.counts_messages else "requests"

    @property
    def documented_path(self) -> str:
        """The path as OpenAPI writes it."""
        return self.path.replace(":str}", "}")

    @property
    def route_name(self) -> str:
        """Method and path, by which an idempotency key is bound to the operation."""
        return f"{self.method} {self.documented_path}"


def route(operation: Operation, answer: Answer) -> HTTPRouteHandler:
    """Return the route that answers an operation.

    Handlers take the bare request and return an ASGI application: declared parameters and data
    would cost about 100 microseconds a request, several times what the rest of the route costs.
    """
    methods = [operation.method, "HEAD"] if operation.method == "GET" else [operation.method]
    # The status here is never used, as the answer brings its own.
    return HTTPRouteHandler(
        operation.path,
        http_method=cast("list[Method]", methods),
        opt={_OPT: operation},
        status_code=200,
    )(answer)


def options_routes(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Return a route for OPTIONS on every path; register them before the others.

    Litestar's own would name only the methods of the first route that it met on a path.
    """
    methods: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for handler in handlers:
        methods[_operation(handler).path] |= set(handler.http_methods)
    return [_options_route(path, sorted(allowed)) for path, allowed in methods.items()]


def _options_route(path: str, allowed: Sequence[str]) -> HTTPRouteHandler:
    allow = (b"allow", ", ".join(allowed).encode())

    async def name_methods() -> ASGIApp:
        return Reply(204, headers=[allow])

    return HTTPRouteHandler(path, http_method=["OPTIONS"], status_code=200)(name_methods)


def operation_of(scope: Any) -> Operation | None:
    """Return the operation that a routed request asks for; None for OPTIONS."""
    operation = scope["route_handler"].opt.get(_OPT)
    assert operation is not None or scope["method"] == "OPTIONS", "every route is an operation"
    return cast("Operation | None", operation)


def operations(handlers: Sequence[HTTPRouteHandler]) -> list[Operation]:
    """Return the operations of these routes, in order."""
    return [_operation(handler) for handler in handlers]


def _operation(handler: HTTPRouteHandler) -> Operation:
    return cast("Operation", handler.opt[_OPT])
