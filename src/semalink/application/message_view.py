"""A message as customers see it; every answer that shows one shows this shape."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from semalink.domain.draft import Alteration
from semalink.domain.failure_codes import describe
from semalink.domain.ids import ACCOUNT_PREFIX, CAMPAIGN_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.message import Message


class Route(msgspec.Struct, frozen=True):
    """Who carries the message."""

    aggregator: str
    #: The aggregator's id of the message; None until it took it.
    reference: str | None


class Failure(msgspec.Struct, frozen=True):
    """Why a message was not delivered, and what can be done."""

    code: str
    detail: str
    who_can_fix: str
    retryable: bool


class ReplacementView(msgspec.Struct, frozen=True):
    """A character that gave way to one that looks like it."""

    character: str
    replacement: str
    #: Every index of it in the text as it came, counted in code points from 0.
    positions: tuple[int, ...]


class AlterationView(msgspec.Struct, frozen=True):
    """What was done to the text before it was accepted, and what that saves."""

    opt_out_text: str | None
    replaced: list[ReplacementView]
    saved_segments: int
    saved_micros: int
    #: Whether it is a test message that a live one could not be at this hour.
    outside_sending_window: bool


class MessageView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. Money is in micros of a credit: 1 credit = 1,000,000 micros."""

    id: str
    status: str
    to: str
    sender: str
    lane: str
    mode: str
    encoding: str
    segments: int
    price_micros: int
    charged_micros: int
    refunded_micros: int
    possible_duplicate: bool
    country: str
    network: str | None
    route: Route | None
    failure: Failure | None
    metadata: dict[str, str]
    campaign_id: str | None
    account_id: str
    accepted_at: datetime
    submitted_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    #: What was done to the text; only where it is accepted, and only if there was anything.
    altered: AlterationView | None = None


def alteration_view(alteration: Alteration | None) -> AlterationView | None:
    """Return what customers see of what was done to a text."""
    if alteration is None:
        return None
    return AlterationView(
        alteration.opt_out_text,
        [
            ReplacementView(one.character, one.replacement, one.positions)
            for one in alteration.replacements
        ],
        alteration.saved_segments,
        alteration.saved_micros,
        alteration.outside_sending_window,
    )


def failure_of(code: str | None) -> Failure | None:
    """Return the description of a failure code, or None for None."""
    if code is None:
        return None
    known = describe(code)
    return Failure(code, known.detail, known.who_can_fix.value, known.retryable)


def campaign_of(campaign_id: UUID | None) -> str | None:
    """Return a campaign's id as it is shown, or None for None."""
    return None if campaign_id is None else format_id(CAMPAIGN_PREFIX, campaign_id)


def view_of(message: Message, alteration: Alteration | None = None) -> MessageView:
    """Return what customers see of a message, with what was done to it as it was accepted."""
    asked = message.asked
    route = Route(message.aggregator, message.reference) if message.aggregator else None
    return MessageView(
        id=format_id(MESSAGE_PREFIX, message.id),
        status=message.status.value,
        to=asked.to,
        sender=asked.sender,
        lane=asked.lane,
        mode=asked.mode,
        encoding=asked.encoding,
        segments=asked.segments,
        price_micros=asked.price_micros,
        charged_micros=message.charged_micros,
        refunded_micros=message.refunded_micros,
        possible_duplicate=message.possible_duplicate,
        country=asked.country,
        network=message.network,
        route=route,
        failure=failure_of(message.failure_code),
        metadata=asked.metadata,
        campaign_id=campaign_of(asked.campaign_id),
        account_id=format_id(ACCOUNT_PREFIX, asked.account_id),
        accepted_at=message.created_on,
        submitted_at=message.submitted_at,
        finished_at=message.finished_at,
        expires_at=asked.expires_at,
        altered=alteration_view(alteration),
    )


_decoder = msgspec.json.Decoder(MessageView)


def encode_view(view: Any) -> bytes:
    """Write a view as the JSON that customers get."""
    return msgspec.json.encode(view)


def decode_view(stored: bytes) -> MessageView:
    """Read a view back."""
    return _decoder.decode(stored)
