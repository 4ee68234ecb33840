"""Pages beside the API: its document, its reference from local files, a page for every error."""

import gzip
import html
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.web.arrival import arrival_of
from semalink.web.openapi import example_problem
from semalink.web.operation import Operation, Success, route
from semalink.web.problem_type import ProblemType
from semalink.web.problem_types import PROBLEM_TYPES
from semalink.web.problems import EdgeRefusal
from semalink.web.reply import Reply

HTML = b"text/html; charset=utf-8"

_PAGE_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# The reference writes its styles into the page, and asks this server only.
_DOCS_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_A_DAY = (b"cache-control", b"public, max-age=86400")

_DOCS_SETTINGS = {
    "agent": {"disabled": True},
    "hideClientButton": True,
    "telemetry": False,
    "withDefaultFonts": False,
}

DOCUMENT = Operation(
    method="GET",
    path="/openapi.json",
    operation_id="getOpenApi",
    tag="Reference",
    summary="Read this document",
    description="The OpenAPI 3.1 document of this application.",
    success=Success(200, "The document.", dict[str, Any], {"openapi": "3.1.0"}),
)
DOCS = Operation(
    method="GET",
    path="/docs",
    operation_id="getDocs",
    tag="Reference",
    summary="Read the reference",
    description="This document for people, from files of this server only.",
    success=Success(200, "A page.", media_type="text/html; charset=utf-8"),
)
DOCS_SCRIPT = Operation(
    method="GET",
    path="/docs/scalar.js",
    operation_id="getDocsScript",
    tag="Reference",
    summary="Read the script of the reference",
    description="Scalar's API reference, as vendored.",
    success=Success(200, "A script.", media_type="text/javascript; charset=utf-8"),
)
PROBLEM_PAGE = Operation(
    method="GET",
    path="/problems/{code:str}",
    operation_id="getProblemType",
    tag="Reference",
    summary="Read about an error",
    description="What the type of a problem points to. JSON when Accept asks for it, else a page.",
    path_examples={"code": "insufficient_credits"},
    success=Success(
        200, "What the error means and what to do.", media_type="text/html; charset=utf-8"
    ),
    problems=("not_found",),
)


class Pages:
    """Answers with the pages of one application."""

    def __init__(self, title: str, describe: Callable[[], dict[str, Any]]) -> None:
        self._title = title
        self._describe = describe
        self._document: bytes | None = None

    async def document(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the OpenAPI document."""
        if self._document is None:
            self._document = msgspec.json.encode(self._describe())
        return Reply(200, self._document)

    async def docs(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the page that shows the document."""
        settings = html.escape(msgspec.json.encode(_DOCS_SETTINGS).decode())
        page = _html(
            self._title,
            '<script id="api-reference" data-url="/openapi.json" '
            f'data-configuration="{settings}"></script>'
            '<script src="/docs/scalar.js"></script>',
        )
        policy = (b"content-security-policy", _DOCS_POLICY)
        return Reply(200, page, [policy, _NO_SNIFFING], media_type=HTML)

    async def script(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the vendored script, compressed for whoever takes it so."""
        compressed = b"gzip" in arrival_of(request.scope).headers.get(b"accept-encoding", b"")
        body = _script() if compressed else gzip.decompress(_script())
        headers = [_A_DAY, _NO_SNIFFING, (b"vary", b"accept-encoding")]
        headers.append((b"content-security-policy", _PAGE_POLICY))
        if compressed:
            headers.append((b"content-encoding", b"gzip"))
        return Reply(200, body, headers, media_type=b"text/javascript; charset=utf-8")

    async def problem(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what an error means and what to do about it."""
        known = PROBLEM_TYPES.get(request.path_params["code"])
        if known is None:
            raise EdgeRefusal("not_found", "There is no error of this name.")
        headers = [_A_DAY, _NO_SNIFFING, (b"vary", b"accept")]
        headers.append((b"content-security-policy", _PAGE_POLICY))
        if b"json" in arrival_of(request.scope).headers.get(b"accept", b""):
            return Reply(200, msgspec.json.encode(_facts(known)), headers)
        return Reply(200, _problem_page(known), headers, media_type=HTML)


def page_routes(title: str, describe: Callable[[], dict[str, Any]]) -> list[HTTPRouteHandler]:
    """Return the routes of an application's pages."""
    pages = Pages(title, describe)
    return [
        route(DOCUMENT, pages.document),
        route(DOCS, pages.docs),
        route(DOCS_SCRIPT, pages.script),
        route(PROBLEM_PAGE, pages.problem),
    ]


@lru_cache(maxsize=1)
def _script() -> bytes:
    folder = resources.files("semalink.web") / "static" / "scalar"
    return (folder / "standalone.js.gz").read_bytes()


def _facts(known: ProblemType) -> dict[str, Any]:
    return {
        "code": known.code,
        "status": known.status,
        "title": known.title,
        "remedy": known.remedy,
        "retryable": known.retryable,
        "example": example_problem(known),
    }


def _problem_page(known: ProblemType) -> bytes:
    example = msgspec.json.format(msgspec.json.encode(example_problem(known)), indent=2)
    again = "It may" if known.retryable else "It will not"
    return _html(
        f"{known.title} ({known.code})",
        f"<h1>{html.escape(known.title)}</h1>"
        f"<p>Code <code>{known.code}</code>, status {known.status}.</p>"
        f"<h2>What to do</h2><p>{html.escape(known.remedy)}</p>"
        f"<p>{again} succeed when the very same request is sent again.</p>"
        f"<h2>Example</h2><pre>{html.escape(example.decode())}</pre>",
    )


def _html(title: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title></head><body>{body}</body></html>"
    ).encode()
