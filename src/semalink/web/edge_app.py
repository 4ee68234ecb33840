"""The outermost layer: each request gets its id, its measure and its headers, matched or not."""

import time
from typing import Any, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import Send

from semalink.web.arrival import Arrival, arrive
from semalink.web.auth import KeyRing, authenticating
from semalink.web.dependencies import Edge, Limiter
from semalink.web.limiting import admitting_requests
from semalink.web.operation import options_routes
from semalink.web.problems import EXCEPTION_HANDLERS
from semalink.web.reply import API_HEADERS

UNMATCHED = "unmatched"
#: A label of a metric may not be whatever a client sends.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
#: What is counted when the client went away before there was an answer.
_CLIENT_GONE = 499


class EdgeApp(Litestar):
    """A Litestar application that sees every request, also those that match no route."""

    def __init__(
        self,
        edge: Edge,
        routes: list[HTTPRouteHandler],
        *,
        key_ring: KeyRing | None,
        limiter: Limiter | None = None,
    ) -> None:
        self._edge = edge
        super().__init__(
            route_handlers=[*options_routes(routes), *routes],
            middleware=[authenticating(key_ring, admitting_requests(limiter))],
            exception_handlers=EXCEPTION_HANDLERS,
            openapi_config=None,
            logging_config=None,
            # Bodies are read and bounded by our own reader, which answers with a problem.
            request_max_body_size=None,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the start and stop of the application."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        edge = self._edge
        arrival = arrive(scope, edge.clock, edge.new_id)
        answer = _Answer(send, arrival)
        observer = edge.observer
        if observer is None:
            await super().__call__(scope, receive, cast("Send", answer))
            return
        started = time.perf_counter()
        token = observer.begin(scope)
        arrival.traceparent = observer.traceparent(token)
        try:
            await super().__call__(scope, receive, cast("Send", answer))
        finally:
            method = scope["method"]
            observer.end(
                token,
                route=scope.get("path_template") or UNMATCHED,
                method=method if method in _METHODS else "other",
                status=answer.status,
                seconds=time.perf_counter() - started,
            )


class _Answer:
    """Adds to an answer what every answer says, and remembers its status."""

    __slots__ = ("_arrival", "_send", "status")

    def __init__(self, send: Send, arrival: Arrival) -> None:
        self._send = send
        self._arrival = arrival
        self.status = _CLIENT_GONE

    async def __call__(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            headers = event["headers"]
            request_id = self._arrival.request_id.encode()
            headers += (
                (b"request-id", request_id),
                (b"x-request-id", request_id),
                *self._arrival.limit_headers,
            )
            # Pages bring their own policy.
            if not any(name == b"content-security-policy" for name, _ in headers):
                headers += API_HEADERS
        await self._send(event)
