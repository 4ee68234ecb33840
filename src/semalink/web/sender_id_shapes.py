"""Shapes of sender ids that customers and operators share."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request

from semalink.application.content_reading import SenderIdView
from semalink.application.history import Place
from semalink.domain.content_check import is_sender_id
from semalink.domain.content_errors import SenderIdNotFound
from semalink.domain.ids import parse_id
from semalink.domain.opt_out_text import OPT_OUT_TEXT_LENGTH_MAX, why_no_opt_out_text
from semalink.domain.sender_id import SENDER_ID_PREFIX
from semalink.web import examples
from semalink.web.problems import EdgeRefusal, FieldProblem

TAG = "Sender ids"
SENDER_ID = "snd_5c1e0a3b7f24518e9d0c6b2a4f8e7d13"
OF_SENDER_ID = {"sender_id": SENDER_ID}

SenderText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=11,
        description="Up to 11 characters with a letter among them, or a short code.",
    ),
]
Class = Literal["promotional", "transactional"]
State = Literal["requested", "approved", "rejected", "withdrawn"]
OptOutText = Annotated[
    Annotated[str, msgspec.Meta(max_length=OPT_OUT_TEXT_LENGTH_MAX)] | None,
    msgspec.Meta(
        description="Added to promotional messages instead of the platform's text; null: that."
    ),
]

EXAMPLE: dict[str, Any] = {
    "id": SENDER_ID,
    "account_id": examples.ACCOUNT_ID,
    "sender": "ACMEDEALS",
    "class": "promotional",
    "state": "approved",
    "reason": "Letter of 3 November on file.",
    "opt_out_text": None,
    "requested_at": "2026-11-02T08:15:04.210000Z",
    "decided_at": "2026-11-03T06:30:00Z",
}
REQUESTED: dict[str, Any] = {
    **EXAMPLE,
    "state": "requested",
    "reason": "Weekly offers to customers of our shops who agreed to them.",
    "decided_at": None,
}


class SenderIds(msgspec.Struct, frozen=True):
    """A page of sender ids, the last asked for first."""

    items: list[SenderIdView]
    next_cursor: str | None


def sender_id_in(request: Request[Any, Any, Any]) -> UUID:
    """Return the sender id that a path names; raises SenderIdNotFound when it is no id."""
    sender_id = parse_id(SENDER_ID_PREFIX, request.path_params["sender_id"])
    if sender_id is None:
        raise SenderIdNotFound
    return sender_id


def place_of(view: SenderIdView) -> Place:
    """Return where a sender id stands in lists."""
    sender_id = parse_id(SENDER_ID_PREFIX, view.id)
    assert sender_id is not None, "a sender id that was read has an id"
    return Place(view.requested_at, 0, sender_id, 0)


def read_sender(sender: str) -> str:
    """Return a sender id; raises EdgeRefusal for what can be none on the air."""
    if not is_sender_id(sender):
        raise invalid_field("sender", "This can be no sender id on the air.")
    return sender


def refuse_shared(sender: str, shared: Iterable[str]) -> None:
    """Raise EdgeRefusal for a sender id that every account may use, in whatever letters.

    One account's class would hold for it alone, and a name is of one class on the air.
    """
    if sender.lower() in (name.lower() for name in shared):
        detail = "Every account may use this sender id already; its class is in the settings."
        raise invalid_field("sender", detail)


def read_opt_out_text(text: str | None) -> str | None:
    """Return an opt-out text; raises EdgeRefusal for one that cannot be added."""
    why = None if text is None else why_no_opt_out_text(text)
    if why is not None:
        raise invalid_field("opt_out_text", why)
    return text


def invalid_field(name: str, detail: str) -> EdgeRefusal:
    """Return the refusal of one field."""
    problem = FieldProblem(f"/{name}", "invalid_value", detail)
    return EdgeRefusal("validation_failed", "1 of the fields is not valid.", errors=[problem])
