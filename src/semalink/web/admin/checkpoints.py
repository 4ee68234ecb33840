"""Signed checkpoints, for whoever keeps them elsewhere."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.checkpoint_reading import Checkpoints
from semalink.domain.checkpoint import SignedCheckpoint
from semalink.web.admin.roles import ANYONE
from semalink.web.cursor import Cursors
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply

_FILTERS = "checkpoints"


class CheckpointsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of checkpoints is read."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    cursor: str | None = None


class CheckpointView(msgspec.Struct, frozen=True):
    """A checkpoint: the root over the chains of all accounts, signed with Ed25519."""

    number: int
    taken_at: datetime
    account_count: int
    #: In hexadecimal, as the hashes and the signature.
    root: str
    previous_hash: str
    checkpoint_hash: str
    #: In base64, as the settings take it.
    public_key: str
    signature: str
    #: What is signed, in UTF-8.
    text: str


class CheckpointPage(msgspec.Struct, frozen=True):
    """Checkpoints, the newest first."""

    items: list[CheckpointView]
    next_cursor: str | None


LIST_CHECKPOINTS = Operation(
    method="GET",
    path="/admin/v1/ledger/checkpoints",
    operation_id="listCheckpoints",
    tag="Finance",
    summary="List signed checkpoints",
    description=(
        "The newest first. Each vouches for every entry up to then: keep some of them where those "
        "who run the platform cannot change them."
    ),
    scopes=ANYONE,
    query=CheckpointsQuery,
    query_notes={"limit": "Checkpoints a page.", "cursor": "Of the page before."},
    success=Success(
        200,
        "The checkpoints.",
        CheckpointPage,
        {
            "items": [
                {
                    "number": 7,
                    "taken_at": "2026-11-25T12:30:05Z",
                    "account_count": 2,
                    "root": "01" * 32,
                    "previous_hash": "00" * 32,
                    "checkpoint_hash": "02" * 32,
                    "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                    "signature": "03" * 64,
                    "text": "semalink ledger checkpoint 1\nnumber 7\n",
                }
            ],
            "next_cursor": None,
        },
    ),
    problems=("invalid_cursor",),
)


class CheckpointReading:
    """Answers with checkpoints."""

    def __init__(self, checkpoints: Checkpoints, key_pepper: bytes) -> None:
        self._checkpoints = checkpoints
        self._cursors = Cursors(key_pepper)

    async def page(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one page."""
        query = read_query(request, CheckpointsQuery)
        before = self._cursors.read(query.cursor, _FILTERS)
        found = await self._checkpoints.newest(before.int if before else None, query.limit)
        next_cursor = None
        if len(found) == query.limit and found[-1].checkpoint.number > 1:
            next_cursor = self._cursors.write(UUID(int=found[-1].checkpoint.number), _FILTERS)
        page = CheckpointPage([_shown(one) for one in found], next_cursor)
        return Reply(200, msgspec.json.encode(page))


def _shown(signed: SignedCheckpoint) -> CheckpointView:
    one = signed.checkpoint
    return CheckpointView(
        number=one.number,
        taken_at=one.taken_at,
        account_count=one.account_count,
        root=one.root.hex(),
        previous_hash=one.previous_hash.hex(),
        checkpoint_hash=signed.checkpoint_hash.hex(),
        public_key=b64encode(signed.public_key).decode(),
        signature=signed.signature.hex(),
        text=one.text().decode(),
    )


def checkpoint_routes(checkpoints: Checkpoints, key_pepper: bytes) -> list[HTTPRouteHandler]:
    """Return the route of checkpoints."""
    return [route(LIST_CHECKPOINTS, CheckpointReading(checkpoints, key_pepper).page)]
