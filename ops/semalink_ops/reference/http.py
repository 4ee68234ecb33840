"""The OpenAPI documents, as the applications themselves serve them."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from uuid_utils.compat import uuid7

from semalink.domain.routing import DEFAULT_ORDER
from semalink.web.app import create_admin, create_api, create_intake
from semalink.web.dependencies import (
    AdminDependencies,
    ApiDependencies,
    Edge,
    Health,
    IntakeDependencies,
)
from semalink_ops.runtime import utc_now

_PATH = "/openapi.json"


def openapi_documents() -> Mapping[str, str]:
    """Return the document of each application by the name of its file."""
    return {name: _document(app) for name, app in _applications().items()}


def _applications() -> Mapping[str, Any]:
    # Nothing is asked of them but their description, so what they would work with is left out.
    absent: Any = cast("Any", None)
    edge = Edge(utc_now, lambda _: uuid7(), Health(checks={}, metrics=lambda: (b"", "")))
    intake = IntakeDependencies(edge=edge, store=absent, secrets={})
    return {
        "openapi.json": _api(edge, absent),
        "openapi-admin.json": _admin(edge, absent),
        "openapi-intake.json": create_intake(intake),
    }


def _api(edge: Edge, absent: Any) -> Any:
    return create_api(
        ApiDependencies(
            edge=edge,
            reads=absent,
            sending=absent,
            ledger=absent,
            months=absent,
            deliveries=absent,
            endpoints=absent,
            opt_outs=absent,
            feed=absent,
            campaign_results=absent,
            usage=absent,
            contacts=absent,
            sender_ids=absent,
            campaigns=absent,
            platform=absent,
            webhooks=absent,
            key_ring=absent,
            rules=absent,
            key_pepper=b"",
        )
    )


def _admin(edge: Edge, absent: Any) -> Any:
    return create_admin(
        AdminDependencies(
            edge=edge,
            reads=absent,
            history=absent,
            usage=absent,
            ledger=absent,
            key_ring=absent,
            key_pepper=b"",
            aggregators=DEFAULT_ORDER,
            reconciliation=absent,
            checkpoints=absent,
            dead_letters=absent,
            months=absent,
            deliveries=absent,
            endpoints=absent,
            opt_outs=absent,
            routes=absent,
            orphans=absent,
            sender_ids=absent,
            content_rules=absent,
            rules_of_file=absent,
            shared_senders=(),
            campaigns=absent,
            platform=absent,
            on_key_revoked=absent,
        )
    )


def _document(app: Any) -> str:
    return msgspec.json.format(asyncio.run(_get(app, _PATH)), indent=2).decode() + "\n"


async def _get(app: Any, path: str) -> bytes:
    """Return the body that an ASGI application answers with."""
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        body.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return bytes(body)
