"""Recipients of a campaign: added, listed, and those that are left out as a table."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.campaign_commands import EditCampaign, with_upload
from semalink.application.campaign_reading import (
    CampaignView,
    RecipientFilter,
    RecipientView,
    require_recipients_of,
)
from semalink.application.csv_cells import csv_lines, text_cell
from semalink.domain.campaign_plan import Plan
from semalink.web import campaign_examples as examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.campaign_access import (
    ONE,
    PATH,
    READ,
    TAG,
    WRITE,
    campaign_id_of,
    owner_of,
    record_of,
    shown,
    store_upload,
)
from semalink.web.campaign_shapes import (
    RECIPIENT_BYTES_MAX,
    MoreRecipients,
    RecipientList,
    RecipientQuery,
)
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply
from semalink.web.streamed import StreamedReply

#: Rows that are read and sent at once.
_ROWS_AT_ONCE = 1_000
_COLUMNS = ("number", "reason", "detail")

_more = msgspec.json.Decoder(MoreRecipients)

ADD = Operation(
    method="POST",
    path=f"{ONE}/recipients",
    operation_id="addCampaignRecipients",
    tag=TAG,
    summary="Add recipients to a campaign",
    description=(
        "Adds up to 10,000 recipients to those that the campaign has, before the start only; "
        "200,000 in all. It is an edit: the campaign is a draft again. More go into a contact "
        "list. A number that is given twice is messaged once."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    body=MoreRecipients,
    body_examples={"one more": {"recipients": examples.WITH_RECIPIENTS["recipients"][:1]}},
    success=Success(200, "The campaign as it is now.", CampaignView, examples.DRAFT),
    problems=("campaign_not_found", "campaign_state_conflict", "too_many_recipients"),
)
LIST = Operation(
    method="GET",
    path=f"{ONE}/recipients",
    operation_id="listCampaignRecipients",
    tag=TAG,
    summary="List recipients of a campaign",
    description=(
        "As the last check found them, in the order in which they are served; none before the "
        "first check, and none 90 days after the campaign was settled or left as a draft."
    ),
    scopes=READ,
    path_examples=examples.OF_CAMPAIGN,
    query=RecipientQuery,
    query_notes={
        "state": "`ready` is messaged, `left_out` is not, `unchecked` was not looked at yet.",
        "reason": "Only those left out for this reason, as `missing_variable`.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Recipients a page.",
    },
    success=Success(
        200,
        "A page of recipients.",
        RecipientList,
        {"items": [examples.RECIPIENT], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("campaign_not_found", "recipients_no_longer_kept", "invalid_cursor"),
)
LEFT_OUT = Operation(
    method="GET",
    path=f"{ONE}/recipients.csv",
    operation_id="downloadLeftOutRecipients",
    tag=TAG,
    summary="Download who is left out",
    description="Those that get no message, with the reason of each, as a CSV file in UTF-8.",
    scopes=READ,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(
        200,
        "The file.",
        None,
        "number,reason,detail\r\n+254712345678,missing_variable,first_name\r\n",
        media_type="text/csv",
    ),
    problems=("campaign_not_found", "recipients_no_longer_kept"),
)


class RecipientPages:
    """Adds and shows recipients of campaigns of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def add(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Add recipients to a campaign that has not started."""
        arrival = arrival_of(request.scope)
        owner, campaign_id = owner_of(arrival), campaign_id_of(request)
        asked = await read_json(request, _more, bytes_max=RECIPIENT_BYTES_MAX)
        await record_of(self._deps.campaigns, campaign_id, owner)
        upload = await store_upload(self._deps, arrival, asked.recipients)
        assert upload is not None, "the shape asks for one at least"

        def edit(plan: Plan) -> Plan:
            return with_upload(plan, upload)

        command = EditCampaign(campaign_id, owner, arrival.cause, edit)
        await self._deps.ledger.execute(command)
        return shown(await record_of(self._deps.campaigns, campaign_id, owner))

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of recipients."""
        query = read_query(request, RecipientQuery)
        campaign_id = await self._own(request)
        filters = f"{LIST.path}:{campaign_id}:{query.state}:{query.reason}"
        place = self._cursors.read(query.cursor, filters)
        found = await self._deps.campaigns.recipients(
            campaign_id,
            RecipientFilter(query.state, query.reason),
            after=-1 if place is None else place.int,
            limit=query.limit + 1,
        )
        page = list(found[: query.limit])
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(RecipientList(page, None)))
        cursor = self._cursors.write(UUID(int=page[-1].place), filters)
        body = msgspec.json.encode(RecipientList(page, cursor))
        path = f"{PATH}/{request.path_params['campaign_id']}/recipients"
        return Reply(200, body, [next_link(path, query, cursor)])

    async def left_out(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with all that are left out, row by row."""
        campaign_id = await self._own(request)
        name = f'attachment; filename="left-out-{request.path_params["campaign_id"]}.csv"'
        return StreamedReply(
            self._rows(campaign_id),
            [(b"content-disposition", name.encode())],
            media_type=b"text/csv; charset=utf-8",
        )

    async def _rows(self, campaign_id: UUID) -> AsyncIterator[bytes]:
        yield csv_lines([_COLUMNS])
        after = -1
        while True:
            page = await self._deps.campaigns.recipients(
                campaign_id, RecipientFilter("left_out"), after=after, limit=_ROWS_AT_ONCE
            )
            if not page:
                return
            yield csv_lines(map(_row, page))
            after = page[-1].place

    async def _own(self, request: Request[Any, Any, Any]) -> UUID:
        campaign_id = campaign_id_of(request)
        arrival = arrival_of(request.scope)
        record = await record_of(self._deps.campaigns, campaign_id, owner_of(arrival))
        require_recipients_of(record, arrival.cause.at)
        return campaign_id


def _row(recipient: RecipientView) -> tuple[str, ...]:
    cells = (recipient.number, recipient.reason or "", recipient.reason_detail or "")
    return tuple(map(text_cell, cells))


def campaign_recipient_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of recipients of campaigns."""
    pages = RecipientPages(deps)
    return [route(ADD, pages.add), route(LIST, pages.list), route(LEFT_OUT, pages.left_out)]
