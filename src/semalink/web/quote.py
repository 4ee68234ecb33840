"""What a message would cost, and why."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.domain.content_check import Content, check, collect
from semalink.domain.segments import ForcingCharacter
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.content import CONTENT_PROBLEMS, Quote, price_of, rules_for
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


class Quoted(msgspec.Struct, frozen=True):
    """What a message takes and costs. Money is in micros: 1 credit = 1,000,000 micros."""

    price_micros: int
    segments: int
    encoding: str
    #: Septets in GSM-7, UTF-16 code units in UCS-2.
    units: int
    forcing_characters: list[Forcing]
    to: str
    country: str
    network: str | None
    earliest_send_at: datetime


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
        content = Content(asked.to, asked.text, asked.sender)
        rules = rules_for(arrival.caller, self._deps.rules())
        arrival.refusals = collect(content, rules)
        checked = check(content, rules)
        quoted = Quoted(
            price_micros=price_of(checked, arrival.caller, rules).price_micros,
            segments=checked.segments,
            encoding=checked.encoding.value,
            units=checked.measure.units,
            forcing_characters=[_forcing(one) for one in checked.measure.forcing_characters],
            to=checked.to,
            country=checked.country,
            network=checked.network,
            earliest_send_at=arrival.at,
        )
        return Reply(200, msgspec.json.encode(quoted))


def _forcing(character: ForcingCharacter) -> Forcing:
    return Forcing(character.character, character.positions)


def quote_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the route that prices messages."""
    return [route(QUOTE, Quoter(deps).quote)]
