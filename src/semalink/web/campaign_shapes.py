"""Shapes of requests about campaigns, and the plans that they mean."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from semalink.application.campaign_commands import Upload, with_upload
from semalink.application.campaign_reading import CampaignView, RecipientView
from semalink.domain.campaign_plan import Plan, check_plan
from semalink.domain.contact_errors import ContactListNotFound
from semalink.domain.ids import CONTACT_LIST_PREFIX, parse_id
from semalink.domain.local_time import find_zone, read_moment
from semalink.domain.template import VARIABLE_NAME, VARIABLES_MAX
from semalink.web.content import TTL_SECONDS_MAX, TTL_SECONDS_MIN, MetadataKey, MetadataValue
from semalink.web.field_types import Cursor, Name, PageSize

#: Recipients that one request brings.
RECIPIENTS_A_REQUEST = 10_000
#: Enough for as many recipients with a few variables each.
RECIPIENT_BYTES_MAX = 8 * 1024 * 1024
LISTS_MAX = 20
RATE_MAX = 10_000

_NO_NUL = r"^[^\u0000]*$"

Sender = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="An approved sender id.")
]
Template = Annotated[
    str,
    msgspec.Meta(
        max_length=1_530,
        description="What handsets show; variables stand in braces, as {first_name}.",
    ),
]
ListId = Annotated[str, msgspec.Meta(max_length=64)]
ListIds = Annotated[list[ListId], msgspec.Meta(max_length=LISTS_MAX)]
VariableName = Annotated[str, msgspec.Meta(pattern=f"^{VARIABLE_NAME}$")]
Variables = Annotated[dict[VariableName, MetadataValue], msgspec.Meta(max_length=VARIABLES_MAX)]
Moment = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="ISO 8601; without an offset it is a time of day in time_zone.",
    ),
]
ZoneName = Annotated[str, msgspec.Meta(max_length=64, description="IANA name.")]
Rate = Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX, description="Messages a second at most.")]
Validity = Annotated[
    int,
    msgspec.Meta(
        ge=TTL_SECONDS_MIN,
        le=TTL_SECONDS_MAX,
        description="How long after the start a message is still worth sending.",
    ),
]
Metadata = Annotated[dict[MetadataKey, MetadataValue], msgspec.Meta(max_length=20)]


class GivenRecipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient, and what stands for the variables in its text."""

    to: Annotated[str, msgspec.Meta(max_length=64, pattern=_NO_NUL)]
    variables: Variables = {}


GivenRecipients = Annotated[list[GivenRecipient], msgspec.Meta(max_length=RECIPIENTS_A_REQUEST)]


class NewCampaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign to be drafted."""

    name: Name
    sender: Sender
    text: Template
    contact_list_ids: ListIds = []
    recipients: GivenRecipients = []
    send_at: Moment | None = None
    time_zone: ZoneName = "Africa/Nairobi"
    rate_per_second: Rate | None = None
    finish_by: Moment | None = None
    validity_seconds: Validity = 86_400
    replace_lookalikes: bool = False
    defaults: Variables = {}
    metadata: Metadata = {}


class CampaignChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    sender: Sender | msgspec.UnsetType = msgspec.UNSET
    text: Template | msgspec.UnsetType = msgspec.UNSET
    contact_list_ids: ListIds | msgspec.UnsetType = msgspec.UNSET
    #: Takes the place of all that were given before.
    recipients: GivenRecipients | msgspec.UnsetType = msgspec.UNSET
    send_at: Moment | msgspec.UnsetType | None = msgspec.UNSET
    time_zone: ZoneName | msgspec.UnsetType = msgspec.UNSET
    rate_per_second: Rate | msgspec.UnsetType | None = msgspec.UNSET
    finish_by: Moment | msgspec.UnsetType | None = msgspec.UNSET
    validity_seconds: Validity | msgspec.UnsetType = msgspec.UNSET
    replace_lookalikes: bool | msgspec.UnsetType = msgspec.UNSET
    defaults: Variables | msgspec.UnsetType = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET


class MoreRecipients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recipients that are added to those of a campaign."""

    recipients: Annotated[
        list[GivenRecipient], msgspec.Meta(min_length=1, max_length=RECIPIENTS_A_REQUEST)
    ]


CampaignStateName = Literal[
    "draft",
    "checking",
    "awaiting_approval",
    "scheduled",
    "sending",
    "paused",
    "completed",
    "cancelled",
]


class CampaignQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which campaigns are listed."""

    state: CampaignStateName | None = None
    cursor: Cursor | None = None
    limit: PageSize = 20


class CampaignList(msgspec.Struct, frozen=True):
    """A page of campaigns, newest first."""

    items: list[CampaignView]
    next_cursor: str | None


class RecipientQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which recipients are listed."""

    state: Literal["unchecked", "ready", "left_out"] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=40, pattern=_NO_NUL)] | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class RecipientList(msgspec.Struct, frozen=True):
    """A page of recipients, in the order in which they are served."""

    items: list[RecipientView]
    next_cursor: str | None


def plan_of(asked: NewCampaign, upload: Upload | None) -> Plan:
    """Return the plan that a request means; raises what is wrong with it."""
    zone = find_zone(asked.time_zone)
    plan = Plan(
        name=asked.name,
        sender=asked.sender,
        text=asked.text,
        list_ids=tuple(list_uuids(asked.contact_list_ids)),
        send_at=_moment(asked.send_at, zone, "send_at"),
        time_zone=asked.time_zone,
        rate_per_second=asked.rate_per_second,
        finish_by=_moment(asked.finish_by, zone, "finish_by"),
        validity_seconds=asked.validity_seconds,
        replace_lookalikes=asked.replace_lookalikes,
        defaults=asked.defaults,
        metadata=asked.metadata,
    )
    check_plan(plan)
    return plan if upload is None else with_upload(plan, upload)


def changed_plan(plan: Plan, asked: CampaignChange, upload: Upload | None) -> Plan:
    """Return the plan as it is to be; raises what is wrong with it."""
    changes: dict[str, Any] = {
        name: value
        for name in msgspec.structs.asdict(asked)
        if (value := getattr(asked, name)) is not msgspec.UNSET
    }
    if "contact_list_ids" in changes:
        changes["list_ids"] = tuple(list_uuids(changes.pop("contact_list_ids")))
    zone = find_zone(changes.get("time_zone", plan.time_zone))
    for field in ("send_at", "finish_by"):
        if field in changes:
            changes[field] = _moment(changes[field], zone, field)
    if changes.pop("recipients", None) is not None:
        changes |= {"uploads": (), "inline_count": 0}
    changed = replace(plan, **changes)
    check_plan(changed)
    return changed if upload is None else with_upload(changed, upload)


def list_uuids(texts: Sequence[str]) -> Sequence[Any]:
    """Return the UUIDs behind ids of contact lists; raises ContactListNotFound."""
    found = [parse_id(CONTACT_LIST_PREFIX, text) for text in dict.fromkeys(texts)]
    if None in found:
        raise ContactListNotFound
    return found


def _moment(text: str | None, zone: Any, field: str) -> datetime | None:
    return None if text is None else read_moment(text, zone, field)
