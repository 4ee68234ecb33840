"""Campaigns of every account, and the approval that some of them need."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.campaign_commands import (
    ApproveCampaign,
    CampaignMove,
    DeclineCampaign,
    MoveCampaign,
    RequireCampaignApproval,
    WithdrawApproval,
)
from semalink.application.campaign_reading import CampaignFilter, CampaignView, Sample, view_of
from semalink.application.ledger import Command
from semalink.domain.cause import Cause
from semalink.web import campaign_examples, examples
from semalink.web.admin.ids import account_id_of
from semalink.web.admin.roles import ANYONE, OPERATIONS
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.campaign_access import TAG, campaign_id_of, record_of, shown
from semalink.web.campaign_shapes import CampaignList, CampaignStateName
from semalink.web.cursor import Cursors
from semalink.web.dependencies import AdminDependencies
from semalink.web.field_types import AccountText, Cursor, PageSize, Reason, account_uuid
from semalink.web.operation import Operation, Success, route
from semalink.web.query import next_link, read_query
from semalink.web.reply import Reply

_PATH = "/admin/v1/campaigns"
_ONE = f"{_PATH}/{{campaign_id:str}}"
_SAMPLES_MAX = 10
_MOVE_PROBLEMS = ("campaign_not_found", "campaign_state_conflict")


class AnyCampaignQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which campaigns are listed."""

    state: CampaignStateName | None = None
    account_id: AccountText | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class ApprovalDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an operator agrees to a campaign, or does not; its owner reads the latter."""

    reason: Reason
    revision: Annotated[
        int,
        msgspec.Meta(ge=1, description="The revision that was read: no other is decided about."),
    ]


class MoveReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an operator pauses, resumes or cancels a campaign."""

    reason: Reason


class Samples(msgspec.Struct, frozen=True):
    """What some recipients of a campaign would read."""

    template: str
    samples: list[Sample]


class ApprovalRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an operator must agree to each campaign of an account."""

    is_required: Annotated[bool, msgspec.Meta(description="What is scheduled already stays so.")]


_move = msgspec.json.Decoder(MoveReason)
_decision = msgspec.json.Decoder(ApprovalDecision)
_rule = msgspec.json.Decoder(ApprovalRule)

LIST = Operation(
    method="GET",
    path=_PATH,
    operation_id="listAnyCampaigns",
    tag=TAG,
    summary="List campaigns of every account",
    description="Newest first. Those that wait for you have `state=awaiting_approval`.",
    scopes=ANYONE,
    query=AnyCampaignQuery,
    query_notes={
        "state": "Only campaigns that stand there.",
        "account_id": "Only campaigns of this account.",
        "cursor": "The next_cursor of the page before, with the same filters.",
        "limit": "Campaigns a page.",
    },
    success=Success(
        200,
        "A page of campaigns.",
        CampaignList,
        {"items": [campaign_examples.AWAITING], "next_cursor": None},
        headers={"Link": 'The next page, rel="next"; absent on the last.'},
    ),
    problems=("account_not_found", "invalid_cursor"),
)
READ_ONE = Operation(
    method="GET",
    path=_ONE,
    operation_id="getAnyCampaign",
    tag=TAG,
    summary="Read a campaign",
    description="A campaign of any account, and where it stands.",
    scopes=ANYONE,
    path_examples=campaign_examples.OF_CAMPAIGN,
    success=Success(200, "The campaign.", CampaignView, campaign_examples.AWAITING),
    problems=("campaign_not_found",),
)
SAMPLES = Operation(
    method="GET",
    path=f"{_ONE}/samples",
    operation_id="getCampaignSamples",
    tag=TAG,
    summary="Look at texts of a campaign",
    description="What the first recipients would read, with their numbers: people's data.",
    scopes=OPERATIONS,
    path_examples=campaign_examples.OF_CAMPAIGN,
    success=Success(
        200,
        "The template, and texts made of it.",
        Samples,
        {"template": campaign_examples.DRAFT["text"], "samples": [campaign_examples.SAMPLE]},
    ),
    problems=("campaign_not_found",),
)

APPROVE = Operation(
    method="POST",
    path=f"{_ONE}/approve",
    operation_id="approveCampaign",
    tag=TAG,
    summary="Approve a campaign",
    description="It starts at its time, or at once when that has passed a moment ago.",
    scopes=OPERATIONS,
    path_examples=campaign_examples.OF_CAMPAIGN,
    body=ApprovalDecision,
    body_examples={"why": {"reason": "Texts and list were looked at.", "revision": 1}},
    success=Success(200, "It is scheduled.", CampaignView, campaign_examples.SCHEDULED),
    problems=(
        *_MOVE_PROBLEMS,
        "finish_too_soon",
        "no_recipients",
        "send_time_passed",
        "validity_too_short",
    ),
)
DECLINE = Operation(
    method="POST",
    path=f"{_ONE}/decline",
    operation_id="declineCampaign",
    tag=TAG,
    summary="Decline a campaign",
    description="It is a draft again; its owner reads the reason and may change it.",
    scopes=OPERATIONS,
    path_examples=campaign_examples.OF_CAMPAIGN,
    body=ApprovalDecision,
    body_examples={"why": {"reason": "Say who gives the prize.", "revision": 1}},
    success=Success(200, "It is a draft again.", CampaignView, campaign_examples.DRAFT),
    problems=_MOVE_PROBLEMS,
)
WITHDRAW = Operation(
    method="POST",
    path=f"{_ONE}/withdraw-approval",
    operation_id="withdrawCampaignApproval",
    tag=TAG,
    summary="Withdraw an approval",
    description="A campaign that is scheduled and has not started waits for an operator again.",
    scopes=OPERATIONS,
    path_examples=campaign_examples.OF_CAMPAIGN,
    body=ApprovalDecision,
    body_examples={"why": {"reason": "The sender id is disputed.", "revision": 1}},
    success=Success(200, "It waits for approval.", CampaignView, campaign_examples.AWAITING),
    problems=_MOVE_PROBLEMS,
)
REQUIRE = Operation(
    method="PUT",
    path="/admin/v1/accounts/{account_id:str}/campaign-approval",
    operation_id="requireCampaignApproval",
    tag="Accounts",
    summary="Ask for approval of an account's campaigns",
    description="Whether campaigns of live keys that are scheduled from now on need an operator.",
    scopes=OPERATIONS,
    path_examples={"account_id": examples.ACCOUNT_ID},
    body=ApprovalRule,
    body_examples={"ask": {"is_required": True}},
    success=Success(200, "The rule holds.", ApprovalRule, {"is_required": True}),
    problems=("account_not_found",),
)

#: Makes the command of a decision.
Decision = Callable[[UUID, Cause, ApprovalDecision], Command[None]]


def _moving(
    move: CampaignMove, operation_id: str, description: str, shows: dict[str, Any]
) -> Operation:
    return Operation(
        method="POST",
        path=f"{_ONE}/{move}",
        operation_id=operation_id,
        tag=TAG,
        summary=f"{move.capitalize()} any campaign",
        description=description,
        scopes=OPERATIONS,
        path_examples=campaign_examples.OF_CAMPAIGN,
        body=MoveReason,
        body_examples={"why": {"reason": "Recipients complain."}},
        success=Success(200, "The campaign as it is now.", CampaignView, shows),
        problems=_MOVE_PROBLEMS,
    )


_MOVES = {
    CampaignMove.PAUSE: _moving(
        CampaignMove.PAUSE,
        "pauseAnyCampaign",
        "Nothing more is handed over; what workers have in hand goes. Its owner may resume it.",
        campaign_examples.PAUSED,
    ),
    CampaignMove.RESUME: _moving(
        CampaignMove.RESUME,
        "resumeAnyCampaign",
        "It goes on where it stood.",
        campaign_examples.SENDING,
    ),
    CampaignMove.CANCEL: _moving(
        CampaignMove.CANCEL,
        "cancelAnyCampaign",
        "Nothing more of it is sent, for good; what it did not spend is released.",
        campaign_examples.CANCELLED,
    ),
}


class AnyCampaigns:
    """Shows and approves campaigns of every account."""

    def __init__(self, deps: AdminDependencies) -> None:
        self._deps = deps
        self._cursors = Cursors(deps.key_pepper)

    async def list(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with a page of campaigns."""
        query = read_query(request, AnyCampaignQuery)
        account_id = None if query.account_id is None else account_uuid(query.account_id)
        filters = f"{_PATH}:{account_id}:{query.state}"
        before = self._cursors.read(query.cursor, filters)
        wanted = CampaignFilter(None, query.state, account_id)
        found = await self._deps.campaigns.campaigns(wanted, before=before, limit=query.limit + 1)
        page = found[: query.limit]
        items = [view_of(record) for record in page]
        if len(found) <= query.limit:
            return Reply(200, msgspec.json.encode(CampaignList(items, None)))
        cursor = self._cursors.write(page[-1].campaign_id, filters)
        body = msgspec.json.encode(CampaignList(items, cursor))
        return Reply(200, body, [next_link(_PATH, query, cursor)])

    async def read(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with one campaign."""
        return shown(await record_of(self._deps.campaigns, campaign_id_of(request), None))

    async def samples(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with texts of a campaign."""
        record = await record_of(self._deps.campaigns, campaign_id_of(request), None)
        found = await self._deps.campaigns.samples(record.campaign_id, _SAMPLES_MAX)
        return Reply(200, msgspec.json.encode(Samples(record.plan.text, list(found))))

    def decide(self, decision: Decision) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
        """Return what answers a request that decides on a campaign."""

        async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
            campaign_id = campaign_id_of(request)
            asked = await read_json(request, _decision)
            cause = arrival_of(request.scope).cause
            await self._deps.ledger.execute(decision(campaign_id, cause, asked))
            return shown(await record_of(self._deps.campaigns, campaign_id, None))

        return answer

    def approval(self, campaign_id: UUID, cause: Cause, asked: ApprovalDecision) -> Command[None]:
        """Return the command that approves a campaign."""
        return ApproveCampaign(
            campaign_id, None, cause, asked.revision, asked.reason, self._deps.platform()
        )

    def move(self, move: CampaignMove) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
        """Return what answers an operator that pauses, resumes or cancels a campaign."""

        async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
            campaign_id = campaign_id_of(request)
            asked = await read_json(request, _move)
            cause = arrival_of(request.scope).cause
            command = MoveCampaign(campaign_id, None, cause, move, asked.reason)
            await self._deps.ledger.execute(command)
            return shown(await record_of(self._deps.campaigns, campaign_id, None))

        return answer

    async def require(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Say whether an account's campaigns need approval."""
        account_id = account_id_of(request)
        asked = await read_json(request, _rule)
        cause = arrival_of(request.scope).cause
        command = RequireCampaignApproval(account_id, asked.is_required, cause)
        await self._deps.ledger.execute(command)
        return Reply(200, msgspec.json.encode(asked))


def _declining(campaign_id: UUID, cause: Cause, asked: ApprovalDecision) -> Command[None]:
    return DeclineCampaign(campaign_id, None, cause, asked.revision, asked.reason)


def _withdrawing(campaign_id: UUID, cause: Cause, asked: ApprovalDecision) -> Command[None]:
    return WithdrawApproval(campaign_id, None, cause, asked.revision, asked.reason)


def any_campaign_routes(deps: AdminDependencies) -> list[HTTPRouteHandler]:
    """Return the operators' routes of campaigns."""
    pages = AnyCampaigns(deps)
    return [
        route(LIST, pages.list),
        route(READ_ONE, pages.read),
        route(SAMPLES, pages.samples),
        route(APPROVE, pages.decide(pages.approval)),
        route(DECLINE, pages.decide(_declining)),
        route(WITHDRAW, pages.decide(_withdrawing)),
        route(REQUIRE, pages.require),
        *(route(operation, pages.move(move)) for move, operation in _MOVES.items()),
    ]
