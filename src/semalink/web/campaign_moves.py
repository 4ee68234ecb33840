"""What moves a campaign: quoted, scheduled, paused, resumed, cancelled."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.campaign_commands import (
    CampaignMove,
    CheckCampaign,
    MoveCampaign,
    ScheduleCampaign,
)
from semalink.application.campaign_quoting import (
    SAMPLES_MAX,
    CampaignQuote,
    CheckProgress,
    credit_of,
    quote_of,
)
from semalink.application.campaign_reading import CampaignRecord, CampaignView
from semalink.domain.campaign import CampaignState
from semalink.domain.campaign_plan import Totals
from semalink.web import campaign_examples as examples
from semalink.web.arrival import Arrival, arrival_of
from semalink.web.campaign_access import (
    ONE,
    TAG,
    WRITE,
    campaign_id_of,
    owner_of,
    record_of,
    shown,
)
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply

_RETRY_AFTER = (b"retry-after", b"1")
_MOVE_PROBLEMS = ("campaign_not_found", "campaign_state_conflict")


class QuoteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether what was found before is good enough."""

    fresh: bool = False


QUOTE = Operation(
    method="POST",
    path=f"{ONE}/quote",
    operation_id="quoteCampaign",
    tag=TAG,
    summary="Quote a campaign",
    description=(
        "Freezes the recipients and looks at each of them: number, duplicates, opt-outs, "
        "variables, content rules, segments, price. While that goes on the answer is 202 with how "
        "far it is; ask again after Retry-After. Then it is 200 with what the campaign comes to. "
        "Contacts that are added to a list later count once the campaign is checked anew, by an "
        "edit or with `fresh=true`. Nothing is sent or reserved."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    query=QuoteQuery,
    query_notes={"fresh": "Check a draft again that was checked before."},
    success=Success(
        200,
        "What the campaign comes to; 202 with the progress while it is checked.",
        CampaignQuote,
        examples.QUOTE,
        headers={"Retry-After": "Seconds to wait while it is checked; absent from 200."},
    ),
    problems=(*_MOVE_PROBLEMS, "no_recipients"),
)
SCHEDULE = Operation(
    method="POST",
    path=f"{ONE}/schedule",
    operation_id="scheduleCampaign",
    tag=TAG,
    summary="Schedule a campaign",
    description=(
        "Lets the campaign start at `send_at`, or at once; a promotional one not before the hours "
        "for such messages begin, as `start_at` tells. One that was not checked is checked first: "
        "the answer is 202, and the campaign is scheduled afterwards, or a draft again whose "
        "`problem` says why. Where your account needs approval, it waits for an operator."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(
        200,
        "The campaign as it is now; 202 while it is checked first.",
        CampaignView,
        examples.SCHEDULED,
    ),
    problems=(
        *_MOVE_PROBLEMS,
        "finish_too_soon",
        "no_recipients",
        "send_time_passed",
        "validity_too_short",
    ),
)
PAUSE = Operation(
    method="POST",
    path=f"{ONE}/pause",
    operation_id="pauseCampaign",
    tag=TAG,
    summary="Pause a campaign",
    description=(
        "Nothing more is handed to aggregators until it is resumed. Its credits stay reserved, and "
        "messages whose validity ends meanwhile expire."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(200, "The campaign as it is now.", CampaignView, examples.PAUSED),
    problems=_MOVE_PROBLEMS,
)
RESUME = Operation(
    method="POST",
    path=f"{ONE}/resume",
    operation_id="resumeCampaign",
    tag=TAG,
    summary="Resume a campaign",
    description="It goes on where it stood.",
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(200, "The campaign as it is now.", CampaignView, examples.SENDING),
    problems=_MOVE_PROBLEMS,
)
CANCEL = Operation(
    method="POST",
    path=f"{ONE}/cancel",
    operation_id="cancelCampaign",
    tag=TAG,
    summary="Cancel a campaign",
    description=(
        "Nothing more of it is sent. What aggregators have goes its way and is charged; what was "
        "reserved for the rest is released. Cancelling twice is cancelling once."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(200, "The campaign as it is now.", CampaignView, examples.CANCELLED),
    problems=_MOVE_PROBLEMS,
)


class CampaignMoves:
    """Moves campaigns of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps

    async def quote(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Begin the check, tell how far it is, or what it found."""
        arrival = arrival_of(request.scope)
        query = read_query(request, QuoteQuery)
        owner, campaign_id = owner_of(arrival), campaign_id_of(request)
        record = await record_of(self._deps.campaigns, campaign_id, owner)
        is_draft = record.state == CampaignState.DRAFT
        if record.totals is not None and not (query.fresh and is_draft):
            return await self._quoted(record, record.totals, arrival)
        if record.state != CampaignState.CHECKING:
            command = CheckCampaign(campaign_id, owner, arrival.cause, schedules=False)
            await self._deps.ledger.execute(command)
        return await self._under_way(campaign_id)

    async def schedule(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Let a campaign start at its time, or check it first."""
        arrival = arrival_of(request.scope)
        owner, campaign_id = owner_of(arrival), campaign_id_of(request)
        command = ScheduleCampaign(
            campaign_id, owner, arrival.cause, self._deps.platform(), owner.account_id
        )
        await self._deps.ledger.execute(command)
        record = await record_of(self._deps.campaigns, campaign_id, owner)
        if record.state == CampaignState.CHECKING:
            return shown(record, 202, (_RETRY_AFTER,))
        return shown(record)

    def move(self, move: CampaignMove) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
        """Return what answers a request to pause, resume or cancel."""

        async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
            arrival = arrival_of(request.scope)
            owner, campaign_id = owner_of(arrival), campaign_id_of(request)
            command = MoveCampaign(campaign_id, owner, arrival.cause, move)
            await self._deps.ledger.execute(command)
            return shown(await record_of(self._deps.campaigns, campaign_id, owner))

        return answer

    async def _under_way(self, campaign_id: UUID) -> ASGIApp:
        progress = await self._deps.campaigns.progress(campaign_id)
        found = CheckProgress(
            CampaignState.CHECKING.value,
            0 if progress is None else progress.checked_count,
            None if progress is None else progress.recipient_count,
        )
        return Reply(202, msgspec.json.encode(found), (_RETRY_AFTER,))

    async def _quoted(self, record: CampaignRecord, totals: Totals, arrival: Arrival) -> ASGIApp:
        own = await self._deps.reads.balance(record.account_id)
        paying = own
        if record.account_id != record.billing_account_id:
            paying = await self._deps.reads.balance(record.billing_account_id)
        quote = quote_of(
            record,
            totals,
            now=arrival.at,
            platform=self._deps.platform(),
            credit=credit_of(record, totals, own, paying),
            samples=await self._deps.campaigns.samples(record.campaign_id, SAMPLES_MAX),
        )
        return Reply(200, msgspec.json.encode(quote))


def campaign_move_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that move campaigns."""
    moves = CampaignMoves(deps)
    return [
        route(QUOTE, moves.quote),
        route(SCHEDULE, moves.schedule),
        route(PAUSE, moves.move(CampaignMove.PAUSE)),
        route(RESUME, moves.move(CampaignMove.RESUME)),
        route(CANCEL, moves.move(CampaignMove.CANCEL)),
    ]
