"""What a message would cost, and why."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.message_view import ReplacementView
from semalink.domain.content_check import CheckedContent, Content, Rules, check, collect
from semalink.domain.segments import ForcingCharacter, measure
from semalink.domain.sender_id import SenderClass
from semalink.web import examples
from semalink.web.arrival import Arrival, arrival_of
from semalink.web.body import read_json
from semalink.web.content import (
    CONTENT_PROBLEMS,
    Quote,
    content_of,
    price_of,
    price_segments,
    rules_for,
)
from semalink.web.dependencies import ApiDependencies
from semalink.web.messages import SEND_SCOPES
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply

_decoder = msgspec.json.Decoder(Quote)


class Forcing(msgspec.Struct, frozen=True):
    """A character outside GSM-7, for which the whole text travels in UCS-2."""

    character: str
    #: Every index of it in the text, counted in code points from 0.
    positions: tuple[int, ...]


class LookalikeSaving(msgspec.Struct, frozen=True):
    """What `replace_lookalikes` does to the text, and what that saves."""

    replaced: list[ReplacementView]
    #: How it would be sent, with the opt-out text if there is one.
    text: str
    segments: int
    saved_segments: int
    saved_micros: int


class Quoted(msgspec.Struct, frozen=True):
    """What a message takes and costs. Money is in micros: 1 credit = 1,000,000 micros."""

    price_micros: int
    segments: int
    encoding: str
    #: Septets in GSM-7, UTF-16 code units in UCS-2.
    units: int
    #: Of the text as it came.
    forcing_characters: list[Forcing]
    to: str
    country: str
    network: str | None
    #: Now, or when the hours of promotional messages begin. Test keys send at any hour.
    earliest_send_at: datetime
    #: "promotional" or "transactional".
    sender_class: str
    #: What is added at the end of a promotional message; null: nothing.
    opt_out_text: str | None
    #: What would be sent.
    text_sent: str
    #: What replacing look-alikes does, asked for or not; null: nothing.
    lookalikes: LookalikeSaving | None


QUOTE = Operation(
    method="POST",
    path="/v1/quote",
    operation_id="quoteMessage",
    tag="Messages",
    summary="Price a message without sending it",
    description=(
        "Runs the very check that sending runs. Shows which characters make the text dearer; "
        "reserves and records nothing."
    ),
    scopes=SEND_SCOPES,
    body=Quote,
    body_examples={
        "a letter outside GSM-7": {
            "to": "+254712345678",
            "text": "Karibu! We open at Tŵr House on Sunday from eight to five, as every week.",
            "sender": "ACME",
        }
    },
    success=Success(200, "What the message takes and costs.", Quoted, examples.QUOTE),
    problems=CONTENT_PROBLEMS,
)


class Quoter:
    """Prices messages."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps

    async def quote(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with what a message would take and cost."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _decoder)
        content = content_of(asked)
        rules = rules_for(arrival.caller, self._deps.rules())
        arrival.refusals = collect(content, rules)
        checked = check(content, rules)
        quoted = Quoted(
            price_micros=price_of(checked, arrival.caller, rules).price_micros,
            segments=checked.segments,
            encoding=checked.encoding.value,
            units=checked.measure.units,
            forcing_characters=[_forcing(one) for one in measure(asked.text).forcing_characters],
            to=checked.to,
            country=checked.country,
            network=checked.network,
            earliest_send_at=_earliest(checked, rules, arrival),
            sender_class=(
                SenderClass.PROMOTIONAL if checked.is_promotional else SenderClass.TRANSACTIONAL
            ),
            opt_out_text=checked.opt_out_text,
            text_sent=checked.text,
            lookalikes=_saving(content, rules, arrival),
        )
        return Reply(200, msgspec.json.encode(quoted))


def _earliest(checked: CheckedContent, rules: Rules, arrival: Arrival) -> datetime:
    if not checked.is_promotional:
        return arrival.at
    return rules.windows.earliest_legal_start(arrival.at, checked.country)


def _saving(content: Content, rules: Rules, arrival: Arrival) -> LookalikeSaving | None:
    checked = check(replace(content, replace_lookalikes=True), rules)
    replaced = checked.replaced
    if replaced is None:
        return None
    saved = replaced.saved_segments
    return LookalikeSaving(
        replaced=[
            ReplacementView(one.character, one.replacement, one.positions)
            for one in replaced.replacements
        ],
        text=checked.text,
        segments=checked.segments,
        saved_segments=saved,
        saved_micros=price_segments(checked, saved, arrival.caller, rules).price_micros,
    )


def _forcing(character: ForcingCharacter) -> Forcing:
    return Forcing(character.character, character.positions)


def quote_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that prices messages."""
    return [route(QUOTE, Quoter(deps).quote)]
