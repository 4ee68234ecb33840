"""The intake of delivery reports: stored as they came before anyone is told that they were."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.opt_out_callbacks import OPT_OUT_DOOR
from semalink.application.report_intake import ReportStoreUnavailable
from semalink.web.arrival import arrival_of
from semalink.web.body import read_body
from semalink.web.dependencies import IntakeDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.problems import RETRY_AFTER_SECONDS, EdgeRefusal
from semalink.web.reply import Reply

REPORT_BYTES_MAX = 64 * 1024
_CONTENT_TYPE_LENGTH_MAX = 200


class Stored(msgspec.Struct, frozen=True):
    """The report is on disk."""

    status: str


_STORED = msgspec.json.encode(Stored("stored"))

STORE_REPORT = Operation(
    method="POST",
    path="/dlr/{aggregator:str}/{secret:str}",
    operation_id="storeDeliveryReport",
    tag="Delivery reports",
    summary="Hand in a delivery report",
    description=(
        "For aggregators. The body is stored as it is, whatever its type, and read later. "
        "A wrong secret and an unknown aggregator look alike."
    ),
    path_examples={"aggregator": "celcom", "secret": "made-when-the-aggregator-was-set-up"},
    body={"type": "string", "maxLength": REPORT_BYTES_MAX},
    body_media_type="*/*",
    body_examples={"form": "id=ATXid_1&status=Success&phoneNumber=%2B254712345678"},
    success=Success(200, "The report is on disk.", Stored, {"status": "stored"}),
    problems=("not_found", "service_unavailable"),
)


STORE_OPT_OUT = replace(
    STORE_REPORT,
    path="/opt-out/{aggregator:str}/{secret:str}",
    operation_id="storeOptOut",
    tag="Opt-outs",
    summary="Hand in an opt-out",
    description=(
        "For aggregators whose subscribers stop a sender id there. The body is stored as it is "
        "and read later. The secret is that of the aggregator's delivery reports."
    ),
    path_examples={"aggregator": "africastalking", "secret": "made-when-it-was-set-up"},
    body_examples={"form": "senderId=ACME&phoneNumber=%2B254712345678"},
    success=Success(200, "The opt-out is on disk.", Stored, {"status": "stored"}),
)


class Intake:
    """Takes reports and opt-outs in."""

    def __init__(self, deps: IntakeDependencies) -> None:
        self._store = deps.store
        self._secrets = {name: _digests(secrets) for name, secrets in deps.secrets.items()}
        # An unknown aggregator is compared as well, so that time does not tell it apart.
        self._nobody = _digests([""])

    async def take(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Store one report, then say so; nothing of it is read."""
        return await self._store_as(request, "")

    async def take_opt_out(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Store one opt-out, then say so; nothing of it is read."""
        return await self._store_as(request, OPT_OUT_DOOR)

    async def _store_as(self, request: Request[Any, Any, Any], door: str) -> ASGIApp:
        aggregator = request.path_params["aggregator"]
        accepted = self._secrets.get(aggregator, self._nobody)
        if not _is_accepted(request.path_params["secret"], accepted):
            raise EdgeRefusal("not_found", "There is nothing here.")
        body = await read_body(request, REPORT_BYTES_MAX)
        content_type = arrival_of(request.scope).headers.get(b"content-type", b"")
        shown = content_type[:_CONTENT_TYPE_LENGTH_MAX].decode("latin-1")
        try:
            await self._store.store(f"{aggregator}{door}", shown, body)
        except ReportStoreUnavailable:
            raise EdgeRefusal(
                "service_unavailable",
                "The report could not be stored. Send it again.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
        return Reply(200, _STORED)


def intake_routes(deps: IntakeDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that take in what aggregators tell."""
    intake = Intake(deps)
    return [route(STORE_REPORT, intake.take), route(STORE_OPT_OUT, intake.take_opt_out)]


def _digests(secrets: Sequence[str]) -> list[bytes]:
    return [hashlib.sha256(secret.encode()).digest() for secret in secrets]


def _is_accepted(secret: str, accepted: list[bytes]) -> bool:
    given = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
    # Every comparison is made, so that time does not tell which secret came close.
    return sum(hmac.compare_digest(given, digest) for digest in accepted) > 0
