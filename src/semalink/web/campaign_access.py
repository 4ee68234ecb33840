"""What operations on campaigns share: whose they are, and what is stored beside them."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request

from semalink.application.campaign_commands import Owner, Upload
from semalink.application.campaign_reading import (
    CampaignRecord,
    Campaigns,
    InlineRecipient,
    view_of,
)
from semalink.domain.campaign_errors import CampaignNotFound
from semalink.domain.contact_errors import ContactListNotFound
from semalink.domain.content_check import is_sender_id
from semalink.domain.errors import InvalidNumber, UnknownSender
from semalink.domain.ids import CAMPAIGN_PREFIX, parse_id
from semalink.domain.phone_number import parse
from semalink.web.arrival import Arrival
from semalink.web.campaign_shapes import GivenRecipient
from semalink.web.content import rules_for
from semalink.web.dependencies import ApiDependencies
from semalink.web.reply import Reply

TAG = "Campaigns"
READ = frozenset({"campaigns:read"})
WRITE = frozenset({"campaigns:write"})
PATH = "/v1/campaigns"
ONE = f"{PATH}/{{campaign_id:str}}"

#: Numbers are parsed in slices of so many, between which other requests have their turn.
_SLICE = 250


def owner_of(arrival: Arrival) -> Owner:
    """Return whose campaigns a caller may see."""
    return Owner(arrival.caller.account_id, arrival.caller.mode)


def campaign_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the id in the path; raises CampaignNotFound when it is none."""
    campaign_id = parse_id(CAMPAIGN_PREFIX, request.path_params["campaign_id"])
    if campaign_id is None:
        raise CampaignNotFound
    return campaign_id


async def record_of(campaigns: Campaigns, campaign_id: UUID, owner: Owner | None) -> CampaignRecord:
    """Return one campaign; raises CampaignNotFound for another owner's."""
    record = await campaigns.campaign(campaign_id, owner)
    if record is None:
        raise CampaignNotFound
    return record


def shown(
    record: CampaignRecord, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
) -> Reply:
    """Return the answer that shows a campaign."""
    return Reply(status, msgspec.json.encode(view_of(record)), headers)


def check_sender(deps: ApiDependencies, arrival: Arrival, sender: str) -> None:
    """Raise UnknownSender for a sender id that the account may not use."""
    rules = rules_for(arrival.caller, deps.rules())
    if sender not in rules.senders or not is_sender_id(sender):
        raise UnknownSender(sender)


async def check_lists(campaigns: Campaigns, account_id: UUID, list_ids: Sequence[UUID]) -> None:
    """Raise ContactListNotFound for a list that the account does not have."""
    if list_ids and await campaigns.missing_lists(account_id, list_ids):
        raise ContactListNotFound


async def store_upload(
    deps: ApiDependencies, arrival: Arrival, given: Sequence[GivenRecipient]
) -> Upload | None:
    """Keep recipients that a request brought; None when it brought none."""
    if not given:
        return None
    country = deps.rules().default_country
    recipients: list[InlineRecipient] = []
    for first in range(0, len(given), _SLICE):
        recipients += [_recipient(one, country) for one in given[first : first + _SLICE]]
        await asyncio.sleep(0)
    upload_id = deps.edge.new_id(arrival.at)
    await deps.campaigns.add_upload(upload_id, recipients)
    return Upload(upload_id, len(recipients))


def _recipient(given: GivenRecipient, country: str) -> InlineRecipient:
    try:
        number = parse(given.to, country)
    except InvalidNumber:
        return InlineRecipient(given.to, None, None, given.variables)
    return InlineRecipient(number.e164, number.country, number.network, given.variables)
