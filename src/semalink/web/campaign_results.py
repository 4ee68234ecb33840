"""Following a campaign: its results as they come, its messages, and a file of its recipients."""

from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.campaign_csv import HEADER, outcome_lines
from semalink.application.campaign_reading import require_recipients
from semalink.application.campaign_results import (
    CampaignFacts,
    CampaignResultReads,
    CampaignResults,
    results_of,
)
from semalink.application.reading import MessageFilter
from semalink.domain.campaign_errors import CampaignNotFound
from semalink.web import examples
from semalink.web.arrival import arrival_of
from semalink.web.campaign_access import ONE, READ, TAG, campaign_id_of
from semalink.web.campaign_examples import CAMPAIGN_ID, OF_CAMPAIGN
from semalink.web.campaign_result_examples import RESULTS, RESULTS_CSV
from semalink.web.dependencies import ApiDependencies
from semalink.web.message_reading import READ as MESSAGES_READ
from semalink.web.message_reading import CampaignMessageQuery, MessagePages, Messages
from semalink.web.operation import Operation, Success, route
from semalink.web.query import read_query
from semalink.web.reply import Reply
from semalink.web.streamed import StreamedReply

#: Recipients of a file that are read at a time.
PIECE_SIZE = 1_000


class ResultsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fine the curve is wanted."""

    bucket: Literal["auto", "1m", "5m", "15m", "1h", "1d"] = "auto"


READ_RESULTS = Operation(
    method="GET",
    path=f"{ONE}/results",
    operation_id="getCampaignResults",
    tag=TAG,
    summary="Read the results of a campaign",
    description=(
        "How far the campaign is and what became of its messages: counts, reasons of failure, "
        "money, networks, and what happened over time. Everything that was recorded before `as_of` "
        "is counted; what happened since shows up a moment later."
    ),
    scopes=READ,
    path_examples=OF_CAMPAIGN,
    query=ResultsQuery,
    query_notes={
        "bucket": "Width of a point of the curve; `auto` takes the narrowest of at most 120 points."
    },
    success=Success(200, "The results.", CampaignResults, RESULTS),
    problems=("campaign_not_found",),
)
LIST_MESSAGES = Operation(
    method="GET",
    path=f"{ONE}/messages",
    operation_id="listCampaignMessages",
    tag=TAG,
    summary="List the messages of a campaign",
    description="The messages of the campaign, newest first.",
    scopes=READ | MESSAGES_READ,
    path_examples=OF_CAMPAIGN,
    query=CampaignMessageQuery,
    query_notes={
        "status": "Only messages that stand so.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Messages a page.",
    },
    success=Success(
        200,
        "A page of messages.",
        Messages,
        {"items": [{**examples.DELIVERED, "campaign_id": CAMPAIGN_ID}], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("campaign_not_found", "invalid_cursor"),
)
DOWNLOAD = Operation(
    method="GET",
    path=f"{ONE}/results.csv",
    operation_id="downloadCampaignResults",
    tag=TAG,
    summary="Download what became of every recipient",
    description=(
        "A CSV file with one line for each recipient, in their order, also for those that get no "
        "message: recipient, status, failure code and sentence, segments, money in micros, "
        "network, times and message id. It is written while it is sent; a file that is cut off "
        "has no end of the transfer, so that every client notices."
    ),
    scopes=READ,
    path_examples=OF_CAMPAIGN,
    success=Success(200, "The file.", None, RESULTS_CSV, media_type="text/csv"),
    problems=("campaign_not_found", "recipients_no_longer_kept"),
)


class CampaignResultPages:
    """Answers with what became of campaigns of the caller's account and mode."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._results = deps.campaign_results
        self._messages = MessagePages(deps.reads, deps.key_pepper)

    async def results(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the results."""
        query = read_query(request, ResultsQuery)
        facts = await self._facts(request)
        return Reply(200, msgspec.json.encode(results_of(facts, query.bucket)))

    async def messages(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of messages."""
        query = read_query(request, CampaignMessageQuery)
        facts = await self._facts(request)
        caller = arrival_of(request.scope).caller
        wanted = MessageFilter(caller.mode, status=query.status, campaign_id=facts.campaign_id)
        path = LIST_MESSAGES.path.replace("{campaign_id:str}", request.path_params["campaign_id"])
        return await self._messages.page(path, caller.account_id, wanted, query)

    async def download(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a file of the recipients."""
        facts = await self._facts(request)
        arrival = arrival_of(request.scope)
        require_recipients(facts.settled_at, arrival.cause.at)
        account_id = arrival.caller.account_id
        name = f'attachment; filename="{request.path_params["campaign_id"]}.csv"'
        return StreamedReply(
            _lines(self._results, facts, account_id),
            [(b"content-disposition", name.encode())],
            media_type=b"text/csv; charset=utf-8",
        )

    async def _facts(self, request: Request[Any, Any, Any]) -> CampaignFacts:
        caller = arrival_of(request.scope).caller
        campaign_id = campaign_id_of(request)
        facts = await self._results.facts(campaign_id, caller.account_id, caller.mode)
        if facts is None:
            raise CampaignNotFound
        return facts


async def _lines(
    results: CampaignResultReads, facts: CampaignFacts, account_id: UUID
) -> AsyncIterator[bytes]:
    yield HEADER
    after = -1
    while page := await results.outcomes(
        facts.campaign_id, account_id, after=after, limit=PIECE_SIZE
    ):
        yield outcome_lines(facts, page)
        after = page[-1].place


def campaign_result_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes that follow campaigns."""
    pages = CampaignResultPages(deps)
    return [
        route(READ_RESULTS, pages.results),
        route(LIST_MESSAGES, pages.messages),
        route(DOWNLOAD, pages.download),
    ]
