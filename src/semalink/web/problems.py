"""Errors as RFC 9457 says: one shape for every answer that is not a success."""

import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from semalink.application.ledger import LedgerUnavailable, OutcomeInDoubt, StoredRefusal
from semalink.application.reading import ReadsUnavailable
from semalink.domain.content_errors import OutsideSendingWindow, earliest_in
from semalink.domain.errors import DomainError
from semalink.web.arrival import arrival_of
from semalink.web.problem_types import PROBLEM_TYPES

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

_log = structlog.get_logger(__name__)
_EDGE_CODES = {
    400: "bad_request",
    401: "missing_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "service_unavailable",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field of the request."""

    #: RFC 6901 pointer into the body, or to the name of a query parameter.
    pointer: str
    code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, for programs and for people (RFC 9457)."""

    #: Path of the page that explains this kind of problem.
    type: str
    title: str
    status: int
    detail: str
    instance: str
    #: Stable; decide by this.
    code: str
    request_id: str
    #: Whether the very same request may succeed later.
    retryable: bool
    errors: list[FieldProblem]
    #: When it may be sent; only where the hour alone stands against a message.
    earliest_send_at: datetime | None = None


class EdgeRefusal(Exception):
    """The HTTP edge does not let a request in; ``code`` names a problem type."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.errors = errors
        self.headers = dict(headers or {})
        super().__init__(detail)


class RateLimited(EdgeRefusal):
    """The caller is faster than it may be."""

    def __init__(self, retry_after_seconds: int, detail: str) -> None:
        super().__init__("rate_limited", detail, headers={"Retry-After": str(retry_after_seconds)})


def field_problem(refusal: DomainError) -> FieldProblem | None:
    """Return which field a refusal is about, if it is about one."""
    if refusal.pointer is None:
        return None
    return FieldProblem(refusal.pointer, refusal.code, str(refusal))


def _respond(
    request: Request[Any, Any, Any],
    code: str,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    known = PROBLEM_TYPES[code]
    request_id = arrival_of(request.scope).request_id
    problem = Problem(
        type=f"/problems/{code}",
        title=known.title,
        status=known.status,
        detail=detail,
        instance=f"/requests/{request_id}",
        code=code,
        request_id=request_id,
        retryable=known.retryable,
        errors=list(errors),
        # Told by the sentence, so that a refusal that is given again tells it as well.
        earliest_send_at=earliest_in(detail) if code == OutsideSendingWindow.code else None,
    )
    return Response(
        content=msgspec.json.encode(problem),
        status_code=known.status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def _refused(request: Request[Any, Any, Any], refusal: DomainError) -> Response[bytes]:
    every = arrival_of(request.scope).refusals
    if refusal.code not in {one.code for one in every}:
        every = (refusal,)
    errors = [found for one in every if (found := field_problem(one)) is not None]
    headers = {"Idempotent-Replayed": "true"} if isinstance(refusal, StoredRefusal) else {}
    return _respond(request, refusal.code, str(refusal), errors, headers)


def _not_let_in(request: Request[Any, Any, Any], refusal: EdgeRefusal) -> Response[bytes]:
    return _respond(request, refusal.code, str(refusal), refusal.errors, refusal.headers)


def _unavailable(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
    detail = "The database does not answer, or too much waits for it. Nothing was decided."
    return _respond(request, "service_unavailable", detail, headers=_retry_after())


def _in_doubt(request: Request[Any, Any, Any], _: OutcomeInDoubt) -> Response[bytes]:
    detail = (
        "The database went away while it decided. Repeat the request with the same "
        "Idempotency-Key; without one, look up what happened before you send again."
    )
    return _respond(request, "outcome_in_doubt", detail, headers=_retry_after())


def _not_routed(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    code = _EDGE_CODES.get(error.status_code)
    if code is None:
        return _crashed(request, error)
    allow = (error.headers or {}).get("allow")
    headers = {"Allow": _in_order(allow)} if allow else {}
    return _respond(request, code, PROBLEM_TYPES[code].remedy, headers=headers)


def _crashed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    request_id = arrival_of(request.scope).request_id
    # Written out here: a renderer given the exception may show locals, which hold texts and keys.
    trace = "".join(traceback.format_exception(error))
    _log.error("request_crashed", request_id=request_id, traceback=trace)
    detail = "The request could not be served. Our side was told; nothing is wrong with yours."
    return _respond(request, "internal_error", detail)


def _retry_after() -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_SECONDS)}


def _in_order(methods: str) -> str:
    return ", ".join(sorted(methods.split(", ")))


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    DomainError: _refused,
    EdgeRefusal: _not_let_in,
    HTTPException: _not_routed,
    LedgerUnavailable: _unavailable,
    OutcomeInDoubt: _in_doubt,
    ReadsUnavailable: _unavailable,
    Exception: _crashed,
}
