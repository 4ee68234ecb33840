"""Campaigns: drafted, listed, read, edited, deleted."""

from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.campaign_commands import (
    CampaignMove,
    CreateCampaign,
    EditCampaign,
    MoveCampaign,
)
from semalink.application.campaign_reading import CampaignFilter, CampaignView, view_of
from semalink.domain.campaign_errors import CampaignStateConflict
from semalink.domain.campaign_plan import Plan
from semalink.web import campaign_examples as examples
from semalink.web.arrival import Arrival, arrival_of
from semalink.web.body import read_json
from semalink.web.campaign_access import (
    ONE,
    PATH,
    READ,
    TAG,
    WRITE,
    campaign_id_of,
    check_lists,
    check_sender,
    owner_of,
    record_of,
    shown,
    store_upload,
)
from semalink.web.campaign_shapes import (
    RECIPIENT_BYTES_MAX,
    CampaignChange,
    CampaignList,
    CampaignQuery,
    NewCampaign,
    changed_plan,
    plan_of,
)
from semalink.web.cursor import Cursors
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

#: Codes of what a plan can be refused for.
_PLAN_PROBLEMS = (
    "contact_list_not_found",
    "invalid_local_time",
    "invalid_template",
    "pace_given_twice",
    "too_many_recipients",
    "unknown_sender",
    "unknown_time_zone",
    "unused_default",
)

_new = msgspec.json.Decoder(NewCampaign)
_change = msgspec.json.Decoder(CampaignChange)

CREATE = Operation(
    method="POST",
    path=PATH,
    operation_id="createCampaign",
    tag=TAG,
    summary="Draft a campaign",
    description=(
        "A draft sends and costs nothing. Recipients come from contact lists, from the request "
        "itself, up to 10,000 at a time, or from both. `send_at` without an offset is a time of "
        "day in `time_zone`; null sends as soon as it is scheduled. The pace is set by "
        "`rate_per_second` or by `finish_by`. A campaign of a test key goes to the sandbox and "
        "costs nothing."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    body=NewCampaign,
    body_examples={
        "to a contact list": examples.NEW,
        "to recipients of the request": examples.WITH_RECIPIENTS,
    },
    success=Success(
        201,
        "The campaign is a draft.",
        CampaignView,
        examples.DRAFT,
        headers={"Location": "Where the campaign can be read.", **REPLAYED_NOTE},
    ),
    problems=_PLAN_PROBLEMS,
)
LIST = Operation(
    method="GET",
    path=PATH,
    operation_id="listCampaigns",
    tag=TAG,
    summary="List campaigns",
    description="The campaigns of your account, newest first; with a test key, those of test keys.",
    scopes=READ,
    query=CampaignQuery,
    query_notes={
        "state": "Only campaigns that stand there.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Campaigns a page.",
    },
    success=Success(
        200,
        "A page of campaigns.",
        CampaignList,
        {"items": [examples.SCHEDULED], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("invalid_cursor",),
)
READ_ONE = Operation(
    method="GET",
    path=ONE,
    operation_id="getCampaign",
    tag=TAG,
    summary="Read a campaign",
    description=(
        "The campaign and where it stands. `problem` says why it is a draft again when something "
        "stood in its way."
    ),
    scopes=READ,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(200, "The campaign.", CampaignView, examples.SCHEDULED),
    problems=("campaign_not_found",),
)
EDIT = Operation(
    method="PATCH",
    path=ONE,
    operation_id="editCampaign",
    tag=TAG,
    summary="Edit a campaign",
    description=(
        "Changes the fields that are given, before the start only. The campaign is a draft again, "
        "whatever was found, scheduled or approved. `recipients` takes the place of those that "
        "were given before."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    body=CampaignChange,
    body_examples={"later and slower": {"send_at": "2026-12-01T11:00", "rate_per_second": 50}},
    success=Success(200, "The campaign as it is now.", CampaignView, examples.DRAFT),
    problems=("campaign_not_found", "campaign_state_conflict", *_PLAN_PROBLEMS),
)
DELETE = Operation(
    method="DELETE",
    path=ONE,
    operation_id="deleteCampaign",
    tag=TAG,
    summary="Delete a draft",
    description=(
        "Cancels a campaign that has not started; it stays readable as cancelled. One that is "
        "under way is cancelled by its own operation."
    ),
    scopes=WRITE,
    path_examples=examples.OF_CAMPAIGN,
    success=Success(204, "It will never be sent."),
    problems=("campaign_not_found", "campaign_state_conflict"),
)


class CampaignPages:
    """Drafts, shows and changes campaigns of the caller's account."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def create(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Draft a campaign."""
        arrival = arrival_of(request.scope)
        asked = await read_json(request, _new, bytes_max=RECIPIENT_BYTES_MAX)
        idempotency = idempotency_of(arrival, CREATE.route_name, asked)
        await self._check(arrival, plan_of(asked, None))
        upload = await store_upload(self._deps, arrival, asked.recipients)
        command = CreateCampaign(
            self._deps.edge.new_id(arrival.at),
            owner_of(arrival),
            arrival.caller.billing_account_id,
            plan_of(asked, upload),
            arrival.cause,
            idempotency,
        )
        answer = await self._deps.ledger.execute(command)
        if answer.replayed and upload is not None:
            await self._deps.campaigns.discard_upload(upload.upload_id)
        record = await record_of(self._deps.campaigns, answer.value, command.owner)
        location = (b"location", f"{PATH}/{view_of(record).id}".encode())
        return shown(record, 201, (location, REPLAYED) if answer.replayed else (location,))

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of campaigns."""
        query = read_query(request, CampaignQuery)
        owner = owner_of(arrival_of(request.scope))
        filters = f"{PATH}:{owner.account_id}:{owner.mode}:{query.state}"
        before = self._cursors.read(query.cursor, filters)
        found = await self._deps.campaigns.campaigns(
            CampaignFilter(owner, query.state), before=before, limit=query.limit + 1
        )
        page = found[: query.limit]
        items = [view_of(record) for record in page]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(CampaignList(items, None)))
        cursor = self._cursors.write(page[-1].campaign_id, filters)
        body = msgspec.json.encode(CampaignList(items, cursor))
        return Reply(200, body, [next_link(PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one campaign."""
        owner = owner_of(arrival_of(request.scope))
        return shown(await record_of(self._deps.campaigns, campaign_id_of(request), owner))

    async def edit(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Change a campaign before its start."""
        arrival = arrival_of(request.scope)
        owner, campaign_id = owner_of(arrival), campaign_id_of(request)
        asked = await read_json(request, _change, bytes_max=RECIPIENT_BYTES_MAX)
        record = await record_of(self._deps.campaigns, campaign_id, owner)
        await self._check_change(arrival, changed_plan(record.plan, asked, None), asked)
        given = [] if asked.recipients is msgspec.UNSET else asked.recipients
        upload = await store_upload(self._deps, arrival, given)

        def edit(plan: Plan) -> Plan:
            return changed_plan(plan, asked, upload)

        command = EditCampaign(campaign_id, owner, arrival.cause, edit)
        await self._deps.ledger.execute(command)
        return shown(await record_of(self._deps.campaigns, campaign_id, owner))

    async def delete(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Cancel a campaign that has not started."""
        arrival = arrival_of(request.scope)
        owner, campaign_id = owner_of(arrival), campaign_id_of(request)
        record = await record_of(self._deps.campaigns, campaign_id, owner)
        if record.started_at is not None:
            raise CampaignStateConflict(state=record.state, wanted="deleted; cancel it instead")
        command = MoveCampaign(campaign_id, owner, arrival.cause, CampaignMove.CANCEL)
        await self._deps.ledger.execute(command)
        return Reply(204)

    async def _check(self, arrival: Arrival, plan: Plan) -> None:
        check_sender(self._deps, arrival, plan.sender)
        await check_lists(self._deps.campaigns, arrival.caller.account_id, plan.list_ids)

    async def _check_change(self, arrival: Arrival, plan: Plan, asked: CampaignChange) -> None:
        # What stays was checked before, and is again by the check that follows.
        if asked.sender is not msgspec.UNSET:
            check_sender(self._deps, arrival, plan.sender)
        if asked.contact_list_ids is not msgspec.UNSET:
            await check_lists(self._deps.campaigns, arrival.caller.account_id, plan.list_ids)


def campaign_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of campaigns."""
    pages = CampaignPages(deps)
    return [
        route(CREATE, pages.create),
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(EDIT, pages.edit),
        route(DELETE, pages.delete),
    ]
